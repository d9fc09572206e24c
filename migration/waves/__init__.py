"""Waves of domains, which begin, wait, are cut over, bake and are judged by themselves.

    ledger    what people may say: start, pause, resume, approve; and the steps, each a compare-and-set
    stages    what is done in each state, and which state is next
    runner    looks at all waves again and again: a chore of the role `migration`
    standing  how many accounts of a wave are where, and how much of its error budget is spent
    outlook   when it is ready, cut over and done
    limits    what the waves under way allow their backends

    PLANNED -> COPYING <-> READY -> CUTTING_OVER -> BAKING -> DONE    (plan/states.py)
    from each between the ends: PAUSED, by a person or by the error budget; from BAKING: HALTED, by a gate;
    `resume` leads back to where it was

A wave is started by a person; those behind it begin to be copied when the one before bakes (`copy_ahead`) or is done.
None is cut over before the one in front of it in its plan is done, before it is approved, or outside of its window.

Invariants
    * What a wave does to a domain is what a person could say: plan, start, cutover, pause, rollback. So each of it
      may be done twice, by two runners at once or by one after a crash.
    * A state changes by a compare-and-set: who says `pause` while a step is made has said it after it, or is told
      that the wave has changed.
    * No account is asked to be cut over while its wave is not CUTTING_OVER, or BAKING for one that came since; a
      pause, the window's end and the end of the bake time take the word back.

Crash table: what is true when the runner dies right after a step, and what its next look does.

    step             the wave      true then                                        the next look
    wave.started     COPYING       nothing is planned yet                           plans, starts domains
    wave.planned     COPYING       a domain has its moves and has not begun         starts it
    wave.copying     COPYING       a domain is being copied                         goes on with the others
    wave.ready       READY         all accounts wait                                looks at approval and window
    wave.cutting     CUTTING_OVER  nobody was asked to move yet                     asks
    wave.asked       CUTTING_OVER  a domain's accounts were                         asks the others
    wave.baking      BAKING        all have moved, `baking_since` is written        waits, judges
    wave.judged      BAKING        what is breached is written, its domain is to    tells it to go back
                                   go back (`returning`)
    wave.told        BAKING        the domain goes back, the wave does not know     tells it again: the same word
    wave.returned    BAKING        it knows                                         judges the others
    wave.done        DONE          over                                             begins the next one
    wave.paused      PAUSED        state, plans and cutovers are one transaction    nothing: a person has to look
    wave.halted      HALTED        the breach is written with the state             nothing: a person has to look
"""
