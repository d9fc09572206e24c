"""Thirty ways in which migrations fail (research/migration.md, section 4): each has its tests."""

import importlib

import pytest

# By number: what happens, and the tests of what must be true then.
MODES: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("killed in the middle of a copy", ("migration.test_crash:test_killed_at",)),
    2: (
        "a worker that slept wakes after another has taken over",
        (
            "migration.test_ledger:test_an_engine_whose_move_was_taken_over_writes_nothing",
            "migration.test_move:test_a_write_with_an_old_epoch_is_refused",
            "migration.test_workers:test_failure_mode_2_a_sleeper_that_wakes_changes_nothing",
            "drill.test_cutovers:test_each_fault_once",
        ),
    ),
    3: (
        "killed between the last delta and the commit",
        (
            "migration.test_crash:test_killed_at",
            "migration.test_rollback_crash:test_killed_at_every_row_of_the_way_back",
        ),
    ),
    4: (
        "killed after the commit, before held mail is released",
        (
            "migration.test_crash:test_killed_at",
            "migration.test_crash_doors:test_the_account_is_released_and_the_engine_dies",
        ),
    ),
    5: (
        "a fence lasts too long",
        (
            "migration.test_move:test_a_fence_that_takes_too_long_is_taken_back",
            "migration.test_rollback:test_failure_mode_5_a_fence_on_the_way_back_that_takes_too_long_is_taken_back",
        ),
    ),
    6: (
        "a client reaches the legacy platform past the fence",
        ("migration.test_move:test_strays_come_over_with_fresh_uids",),
    ),
    7: (
        "mail waits in the legacy queue at the cutover",
        ("migration.test_close:test_late_mail_is_waited_for",),
    ),
    8: (
        "a stray has the UID of something new",
        (
            "migration.test_move:test_strays_come_over_with_fresh_uids",
            "migration.test_rollback:test_failure_mode_8_a_strays_uid_collides_on_the_way_back",
        ),
    ),
    9: (
        "another UIDVALIDITY in the middle",
        (
            "migration.test_move:test_another_uidvalidity_stops_the_move_and_deletes_nothing",
            "migration.test_afresh:test_the_account_is_copied_from_the_first_message",
            "migration.test_rollback:test_failure_mode_9_another_uidvalidity_on_the_way_back",
        ),
    ),
    10: (
        "several mailboxes have one UIDVALIDITY",
        (
            "migration.test_renames:test_one_uidvalidity_for_several_mailboxes_is_no_identity",
            "migration.test_renames:test_mailboxes_under_one_uidvalidity_move",
        ),
    ),
    11: (
        "a mailbox is deleted and made again, or renamed onto a freed name",
        (
            "migration.test_between_shards:test_everything_changes_meanwhile",
            "migration.test_rollback:test_failure_mode_11_a_name_that_is_another_mailboxs_by_now",
        ),
    ),
    12: (
        "the source lists nothing",
        (
            "migration.maildir.test_failures:test_source_lists_zero_messages",
            "migration.maildir.test_move:test_an_unmounted_disk_deletes_nothing",
            "migration.test_move:test_too_many_deletions_need_a_word",
            "migration.test_brake:test_files_that_went_away_behind_the_servers_back",
            "migration.test_brake:test_an_account_that_shows_nothing_is_never_explained",
        ),
    ),
    13: (
        "Message-ID missing, doubled or rewritten",
        (
            "migration.test_move:test_a_whole_account_is_the_same_on_both_sides",
            "migration.certificate.test_move:test_octets_that_the_source_changes_and_another_order_of_uidls_are_found",
        ),
    ),
    14: (
        "the reply to an APPEND is lost on the way back",
        ("migration.test_rollback:test_failure_mode_14_a_lost_append_reply_doubles_nothing",),
    ),
    15: (
        "flags change during the copy",
        (
            "migration.maildir.test_failures:test_flags_changed_during_copy",
            "migration.test_move:test_a_cache_made_at_the_source_hears_of_all_that_came_after",
        ),
    ),
    16: (
        "messages that are \\Deleted and not expunged",
        ("migration.test_move:test_a_whole_account_is_the_same_on_both_sides",),
    ),
    17: (
        "more than 26 keywords, keywords that may not be",
        (
            "migration.maildir.test_failures:test_more_than_26_keywords",
            "migration.test_replies:test_a_keyword_called_uid_is_a_keyword",
        ),
    ),
    18: (
        "names: encodings, separators, prefixes, collisions",
        (
            "migration.test_naming:test_an_account_keeps_its_separator_and_prefix",
            "migration.census.test_reading:test_names_that_would_be_one_are_found_and_do_not_end_it",
            "migration.maildir.test_move:test_names_stay_behind_their_prefix",
        ),
    ),
    19: (
        "files lie elsewhere than expected",
        (
            "migration.maildir.test_failures:test_locations_that_cannot_be_read",
            "migration.maildir.test_failures:test_the_wrong_tree_is_noticed",
        ),
    ),
    20: (
        "messages that cannot be had, NUL, bare LF, too large",
        (
            "migration.maildir.test_failures:test_nul_bare_lf_and_large_messages",
            "migration.maildir.test_failures:test_a_damaged_file_is_not_given",
            "migration.test_pop3_session:test_a_message_that_is_not_given_is_left_out_and_the_list_is_read_anew",
        ),
    ),
    21: ("another order of UIDLs", ("migration.test_uidl:test_pop3_uidl_order_mismatch",)),
    22: (
        "the source throttles",
        (
            "migration.test_pacing:test_mode_22_throttled",
            "migration.test_imap:test_bye_says_how_long_to_stay_away",
        ),
    ),
    23: ("the source becomes slow", ("migration.test_pacing:test_mode_23_latency_rises",)),
    24: (
        "a mailbox of 700,000",
        (
            "migration.test_spans:test_all_of_a_move_in_parts",
            "migration.maildir.test_failures:test_a_batch_lists_nothing_anew",
        ),
    ),
    25: ("an answer of very many lines", ("migration.test_imap:test_ten_thousand_lines_in_one_answer",)),
    26: (
        "the legacy directory changes meanwhile",
        (
            "migration.directory.test_takeover:test_what_changed_there_is_taken_and_what_changed_here_stays",
            "migration.directory.test_takeover:test_an_account_that_has_moved_is_ours",
        ),
    ),
    27: (
        "an unknown recipient, a legacy platform that cannot be reached",
        (
            "e2e.test_bad_input:test_unknown_recipient",
            "delivery.test_worker:test_a_temporary_failure_is_tried_again_and_arrives_once",
        ),
    ),
    28: (
        "the legacy platform sends mail back",
        (
            "delivery.test_accept:test_what_comes_back_from_where_we_relayed_it_is_a_loop",
            "delivery.test_worker:test_a_loop_that_begins_after_acceptance_ends_with_a_report",
        ),
    ),
    29: (
        "side effects a second time: vacation, notices",
        ("migration.beside.test_mount:test_an_account_moves_from_a_mount",),
    ),
    30: (
        "routes cannot be read, or are old",
        (
            "access.proxy.test_splice:test_without_a_lease_nobody_is_forwarded",
            "directory.test_watch:test_a_locked_database_ends_the_lease_although_reading_works",
            "migration.waves.test_stages:test_a_spent_error_budget_pauses_the_wave_and_resume_goes_on",
        ),
    ),
}


def test_there_are_thirty() -> None:
    assert sorted(MODES) == list(range(1, 31))


@pytest.mark.parametrize("number", sorted(MODES))
def test_each_has_its_tests(number: int) -> None:
    for place in MODES[number][1]:
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(f"tests.{module}"), function)), place
