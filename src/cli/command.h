/* Sub-commands of `tamis`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Exit codes of every command (a contract with scripts). */
enum { EXIT_OK = 0, EXIT_FINDING = 1, EXIT_USAGE = 2 };

struct command {
    const char *path;    /* "order check" */
    const char *summary; /* one line for the list of commands */
    const char *help;    /* whole text of --help: usage, options, an example */
    /* argv[0] is the command's path, options follow; --help is handled before. Returns an exit
     * code. */
    int (*run)(int argc, char **argv);
};

extern const struct command command_account_create;
extern const struct command command_account_reset;
extern const struct command command_account_confirm;
extern const struct command command_account_login;
extern const struct command command_account_show;
extern const struct command command_account_list;
extern const struct command command_account_suspend;
extern const struct command command_account_reinstate;
extern const struct command command_account_role;
extern const struct command command_account_plan;
extern const struct command command_account_export;
extern const struct command command_account_delete;
extern const struct command command_account_token_list;
extern const struct command command_account_token_create;
extern const struct command command_account_token_delete;
extern const struct command command_zone_check;
extern const struct command command_zone_dump;
extern const struct command command_zone_diff;
extern const struct command command_zone_import;
extern const struct command command_zone_history;
extern const struct command command_zone_restore;
extern const struct command command_order_check;
extern const struct command command_order_compile;
extern const struct command command_order_rehearse;
extern const struct command command_order_sign;
extern const struct command command_order_draft;
extern const struct command command_order_rehearsal;
extern const struct command command_order_list;
extern const struct command command_order_show;
extern const struct command command_order_notify;
extern const struct command command_order_approve;
extern const struct command command_order_activate;
extern const struct command command_order_amend;
extern const struct command command_order_lift;
extern const struct command command_order_servers;
extern const struct command command_order_exempt;
extern const struct command command_interest_list;
extern const struct command command_interest_place;
extern const struct command command_interest_withdraw;
extern const struct command command_overlap_list;
extern const struct command command_overlap_show;
extern const struct command command_overlap_say;
extern const struct command command_overlap_override;
extern const struct command command_key_generate;
extern const struct command command_appeal_submit;
extern const struct command command_appeal_prove;
extern const struct command command_appeal_list;
extern const struct command command_appeal_show;
extern const struct command command_appeal_decide;
extern const struct command command_report_figures;
extern const struct command command_ledger_key;
extern const struct command command_ledger_list;
extern const struct command command_ledger_show;
extern const struct command command_ledger_verify;
extern const struct command command_host_list;
extern const struct command command_host_show;
extern const struct command command_host_create;
extern const struct command command_host_set;
extern const struct command command_host_delete;
extern const struct command command_host_key;
extern const struct command command_host_txt;
extern const struct command command_host_import;
extern const struct command command_ctl;
extern const struct command command_prove;
extern const struct command command_report_submit;
extern const struct command command_report_list;
extern const struct command command_report_show;
extern const struct command command_report_queue;
extern const struct command command_report_claim;
extern const struct command command_report_decide;
extern const struct command command_sink_rules;
extern const struct command command_sink_live;
extern const struct command command_sink_report;
extern const struct command command_sink_series;
extern const struct command command_sink_top;
extern const struct command command_takeover_plan;
extern const struct command command_takeover_copy;
extern const struct command command_takeover_shadow;
extern const struct command command_takeover_gate;
extern const struct command command_takeover_canary;
extern const struct command command_takeover_go;
extern const struct command command_takeover_abort;
extern const struct command command_takeover_return;
extern const struct command command_takeover_status;
extern const struct command command_sink_check_rules;

/* Prints "tamis <path>: ...; see tamis <path> --help" and returns EXIT_USAGE. */
int command_usage_error(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
