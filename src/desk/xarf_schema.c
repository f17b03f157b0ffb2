#include "desk/xarf_schema.h"

#define WORDS(...)   ((const char *const[]){__VA_ARGS__, NULL})
#define MEMBERS(...) ((const struct xarf_member[]){__VA_ARGS__, {0}})

#define PORT_MAX 65535
#define ASN_MAX  4294967295

const char *const xarf_categories[] = {
    "messaging",     "content",        "copyright",  "connection",
    "vulnerability", "infrastructure", "reputation", NULL};

/* ---- Content: what a web server of the host shows ---- */

static const struct xarf_member content_base[] = {
    {"url", XARF_URI, .is_required = true, .names_host = true},
    {"domain", XARF_HOSTNAME, .names_host = true},
    {"registrar", XARF_TEXT},
    {"nameservers", XARF_TEXTS},
    {"dns_records", XARF_OBJECT,
     .members =
         MEMBERS({"a", XARF_TEXTS}, {"aaaa", XARF_TEXTS}, {"mx", XARF_TEXTS}, {"txt", XARF_TEXTS})},
    {"screenshot_url", XARF_URI},
    {"verified_at", XARF_TIME},
    {"verification_method", XARF_WORD,
     .words =
         WORDS("manual", "automated_crawler", "user_report", "honeypot", "threat_intelligence")},
    {"attack_vector", XARF_WORD,
     .words = WORDS("phishing", "malware", "fraud", "brand_infringement", "copyright_infringement",
                    "data_leak", "remote_compromise", "suspicious_registration")},
    {"target_brand", XARF_TEXT},
    {"hosting_provider", XARF_TEXT},
    {"asn", XARF_INTEGER, .min = 1, .max = ASN_MAX},
    {"country_code", XARF_COUNTRY},
    {"ssl_certificate", XARF_OBJECT,
     .members = MEMBERS({"issuer", XARF_TEXT}, {"subject", XARF_TEXT}, {"valid_from", XARF_TIME},
                        {"valid_to", XARF_TIME}, {"fingerprint", XARF_TEXT})},
    {"whois", XARF_OBJECT,
     .members = MEMBERS({"registrant", XARF_TEXT}, {"created_date", XARF_TIME},
                        {"updated_date", XARF_TIME}, {"expiry_date", XARF_TIME},
                        {"registrar_abuse_contact", XARF_EMAIL})},
    {"dns_response", XARF_OBJECT,
     .members = MEMBERS({"query_time", XARF_TIME}, {"authoritative", XARF_FLAG},
                        {"response_code", XARF_WORD,
                         .words = WORDS("NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED")})},
    {0},
};

static const struct xarf_member phishing[] = {
    {"credential_fields", XARF_TEXTS},
    {"phishing_kit", XARF_TEXT},
    {"redirect_chain", XARF_URIS},
    {"submission_url", XARF_URI, .names_host = true},
    {"cloned_site", XARF_URI},
    {"detection_evasion", XARF_WORDS,
     .words = WORDS("geo_blocking", "user_agent_filtering", "referrer_checking", "captcha",
                    "time_based_display", "ip_blacklisting", "obfuscation", "other")},
    {"lure_type", XARF_WORD,
     .words =
         WORDS("account_suspension", "security_alert", "payment_issue", "prize_notification",
               "document_share", "password_reset", "shipping_notification", "tax_refund", "other")},
    {0},
};

static const struct xarf_member hashes[] = {
    {"md5", XARF_TEXT}, {"sha1", XARF_TEXT}, {"sha256", XARF_TEXT}, {0}};

static const struct xarf_member malware[] = {
    {"malware_family", XARF_TEXT},
    {"malware_type", XARF_WORD,
     .words = WORDS("trojan", "ransomware", "dropper", "loader", "backdoor", "rootkit",
                    "infostealer", "banking_trojan", "cryptominer", "adware", "spyware", "worm",
                    "bot", "rat", "other")},
    {"file_hashes", XARF_OBJECT, .members = hashes},
    {"file_metadata", XARF_OBJECT,
     .members = MEMBERS({"filename", XARF_TEXT}, {"file_size", XARF_INTEGER, .max = INT64_MAX},
                        {"file_type", XARF_TEXT}, {"mime_type", XARF_TEXT})},
    {"distribution_method", XARF_WORD,
     .words = WORDS("direct_download", "drive_by_download", "email_attachment", "malvertising",
                    "exploit_kit", "watering_hole", "supply_chain", "social_engineering", "other")},
    {"c2_servers", XARF_OBJECTS,
     .members = MEMBERS(
         {"address", XARF_TEXT, .names_host = true},
         {"port", XARF_INTEGER, .min = 1, .max = PORT_MAX},
         {"protocol", XARF_WORD, .words = WORDS("http", "https", "tcp", "udp", "dns", "other")})},
    {"sandbox_analysis", XARF_OBJECT,
     .members = MEMBERS(
         {"sandbox_name", XARF_TEXT}, {"analysis_url", XARF_URI},
         {"verdict", XARF_WORD, .words = WORDS("malicious", "suspicious", "clean", "unknown")},
         {"score", XARF_NUMBER, .max = 100})},
    {"exploit_cve", XARF_TEXTS},
    {"persistence_mechanism", XARF_WORDS,
     .words = WORDS("registry", "scheduled_task", "service", "startup_folder", "dll_hijacking",
                    "wmi", "other")},
    {"targeted_platforms", XARF_WORDS,
     .words = WORDS("windows", "linux", "macos", "android", "ios", "multi_platform")},
    {0},
};

static const struct xarf_member fraud[] = {
    {"fraud_type", XARF_WORD, .is_required = true,
     .words =
         WORDS("investment", "romance", "tech_support", "lottery", "advance_fee", "cryptocurrency",
               "shopping", "charity", "employment", "government_impersonation", "other")},
    {"payment_methods", XARF_WORDS,
     .words = WORDS("credit_card", "bank_transfer", "cryptocurrency", "gift_cards", "wire_transfer",
                    "paypal", "western_union", "moneygram", "cashapp", "venmo", "other")},
    {"cryptocurrency_addresses", XARF_OBJECTS,
     .members = MEMBERS({"currency", XARF_WORD, .is_required = true,
                         .words = WORDS("bitcoin", "ethereum", "usdt", "bnb", "monero", "other")},
                        {"address", XARF_TEXT, .is_required = true})},
    {"claimed_entity", XARF_TEXT},
    {0},
};

static const struct xarf_member csam[] = {
    {"classification", XARF_WORD, .is_required = true,
     .words = WORDS("baseline", "A1", "A2", "B1", "B2")},
    {"media_type", XARF_WORD, .words = WORDS("image", "video", "audio", "text", "mixed")},
    {"detection_method", XARF_WORD, .is_required = true,
     .words =
         WORDS("hash_match", "ai_detection", "manual_review", "user_report", "automated_scan")},
    {"hash_values", XARF_OBJECT, .members = hashes},
    {"ncmec_report_id", XARF_TEXT},
    {"content_removed", XARF_FLAG},
    {"account_suspended", XARF_FLAG},
    {0},
};

static const struct xarf_member csem[] = {
    {"exploitation_type", XARF_WORD, .is_required = true,
     .words = WORDS("grooming", "solicitation", "sextortion", "trafficking", "distribution",
                    "production", "possession")},
    {"victim_age_range", XARF_WORD,
     .words = WORDS("infant", "toddler", "prepubescent", "pubescent", "unknown")},
    {"platform", XARF_WORD,
     .words = WORDS("social_media", "messaging_app", "gaming_platform", "forum", "email", "darkweb",
                    "other")},
    {"detection_method", XARF_WORD, .is_required = true,
     .words = WORDS("behavioral_analysis", "keyword_detection", "user_report", "ai_detection",
                    "manual_review", "law_enforcement_referral")},
    {0},
};

static const struct xarf_member exposed_data[] = {
    {"data_types", XARF_WORDS, .is_required = true, .min = 1,
     .words = WORDS("personal_information", "credentials", "financial", "medical", "government_id",
                    "email_addresses", "phone_numbers", "api_keys", "database_dumps", "source_code",
                    "internal_documents", "customer_data", "employee_data", "intellectual_property",
                    "other")},
    {"exposure_method", XARF_WORD, .is_required = true,
     .words = WORDS("misconfigured_server", "open_directory", "database_exposure", "git_repository",
                    "backup_file", "log_file", "cloud_storage", "paste_site", "forum_post",
                    "ransomware_leak", "intentional_leak", "other")},
    {"record_count", XARF_INTEGER, .max = INT64_MAX},
    {"affected_organization", XARF_TEXT},
    {0},
};

static const struct xarf_member remote_compromise[] = {
    {"compromise_type", XARF_WORD, .is_required = true,
     .words = WORDS("webshell", "backdoor", "defacement", "malicious_redirect", "seo_spam",
                    "cryptominer", "phishing_kit", "malware_host", "c2_server", "proxy", "scanner",
                    "other")},
    {"compromise_indicators", XARF_OBJECTS,
     .members =
         MEMBERS({"type", XARF_WORD, .is_required = true,
                  .words = WORDS("file_path", "process", "network_connection", "user_account",
                                 "scheduled_task", "registry_key", "service")},
                 {"value", XARF_TEXT, .is_required = true}, {"description", XARF_TEXT})},
    {"cleanup_status", XARF_WORD,
     .words = WORDS("not_cleaned", "partially_cleaned", "cleaned", "reinfected", "unknown")},
    {0},
};

static const struct xarf_member suspicious_registration[] = {
    {"registration_date", XARF_TIME, .is_required = true},
    {"days_since_registration", XARF_INTEGER, .max = INT64_MAX},
    {"suspicious_indicators", XARF_WORDS, .is_required = true, .min = 1,
     .words = WORDS("typosquatting", "homograph_attack", "brand_keyword", "suspicious_tld",
                    "bulk_registration", "privacy_protection", "suspicious_registrant", "fast_flux",
                    "dga_pattern", "known_bad_nameserver", "suspicious_ssl_cert",
                    "immediate_activation", "parked_page", "other")},
    {"risk_score", XARF_NUMBER, .max = 1},
    {"targeted_brands", XARF_TEXTS},
    {0},
};

static const struct xarf_member brand_infringement[] = {
    {"infringement_type", XARF_WORD, .is_required = true,
     .words =
         WORDS("counterfeit", "typosquatting", "lookalike", "homograph", "unauthorized_reseller",
               "trademark_violation", "brand_impersonation", "logo_misuse", "other")},
    {"legitimate_site", XARF_URI, .is_required = true},
    {"similarity_score", XARF_NUMBER, .max = 1},
    {0},
};

/* ---- Messaging, copyright, infrastructure, reputation ---- */

static const struct xarf_member spam[] = {
    {"protocol", XARF_WORD, .is_required = true,
     .words = WORDS("smtp", "sms", "whatsapp", "telegram", "signal", "chat", "social_media",
                    "push_notification", "other")},
    {"smtp_from", XARF_EMAIL},
    {"smtp_to", XARF_EMAIL},
    {"subject", XARF_TEXT, .max = 500},
    {"sender_name", XARF_TEXT, .max = 200},
    {"message_id", XARF_TEXT, .max = 200},
    {"user_agent", XARF_TEXT, .max = 200},
    {"recipient_count", XARF_INTEGER, .min = 1, .max = INT64_MAX},
    {"spam_indicators", XARF_OBJECT, .is_closed = true,
     .members = MEMBERS({"suspicious_links", XARF_URIS, .names_host = true},
                        {"commercial_content", XARF_FLAG}, {"bulk_characteristics", XARF_FLAG})},
    {0},
};

static const struct xarf_member bulk_messaging[] = {
    {"protocol", XARF_WORD, .is_required = true,
     .words = WORDS("smtp", "sms", "whatsapp", "telegram", "social_media", "push_notification",
                    "other")},
    {"smtp_from", XARF_EMAIL},
    {"subject", XARF_TEXT, .max = 500},
    {"sender_name", XARF_TEXT, .max = 200},
    {"recipient_count", XARF_INTEGER, .is_required = true, .min = 100, .max = INT64_MAX},
    {"unsubscribe_provided", XARF_FLAG},
    {"opt_in_evidence", XARF_FLAG},
    {0},
};

#define COPYRIGHT_MEMBERS                                                  \
    {"infringing_url", XARF_URI, .is_required = true, .names_host = true}, \
        {"work_title", XARF_TEXT, .max = 500},                             \
    {                                                                      \
        "rights_holder", XARF_TEXT, .max = 200                             \
    }

static const struct xarf_member copyright[] = {
    COPYRIGHT_MEMBERS,
    {"original_url", XARF_URI},
    {"infringement_type", XARF_WORD,
     .words = WORDS("direct_copy", "modified_copy", "streaming", "download", "distribution")},
    {0},
};

static const struct xarf_member cyberlocker[] = {
    COPYRIGHT_MEMBERS,
    {"hosting_service", XARF_TEXT, .is_required = true, .max = 200},
    {0},
};

static const struct xarf_member link_site[] = {
    COPYRIGHT_MEMBERS,
    {"site_name", XARF_TEXT, .is_required = true, .max = 200},
    {"linked_content", XARF_OBJECTS, .is_closed = true, .max = 50,
     .members = MEMBERS({"target_url", XARF_URI, .is_required = true},
                        {"link_type", XARF_WORD, .is_required = true,
                         .words = WORDS("torrent_file", "magnet_link", "direct_download",
                                        "streaming_link", "usenet_nzb", "other")},
                        {"hosting_service", XARF_TEXT, .max = 200},
                        {"file_size", XARF_INTEGER, .max = INT64_MAX})},
    {0},
};

static const struct xarf_member ugc_platform[] = {
    COPYRIGHT_MEMBERS,
    {"platform_name", XARF_TEXT, .is_required = true, .max = 200},
    {0},
};

static const struct xarf_member botnet[] = {
    {"compromise_evidence", XARF_TEXT, .is_required = true},
    {"malware_family", XARF_TEXT, .max = 200},
    {"c2_server", XARF_TEXT, .names_host = true},
    {"c2_protocol", XARF_WORD,
     .words = WORDS("http", "https", "tcp", "udp", "dns", "irc", "p2p", "custom")},
    {"bot_capabilities", XARF_WORDS,
     .words = WORDS("ddos", "spam", "proxy", "keylogger", "file_download", "remote_shell",
                    "cryptocurrency_mining", "data_theft")},
    {"first_seen", XARF_TIME},
    {"last_seen", XARF_TIME},
    {"infection_vector", XARF_WORD,
     .words = WORDS("network_worm", "email_attachment", "drive_by_download", "exploit_kit",
                    "social_engineering", "malicious_link", "usb_propagation", "brute_force")},
    {0},
};

static const struct xarf_member compromised_server[] = {
    {"compromise_type", XARF_WORD, .is_required = true,
     .words = WORDS("webshell", "backdoor", "rootkit", "malware", "credential_theft",
                    "privilege_escalation", "remote_access_trojan", "cryptominer")},
    {"service", XARF_TEXT, .max = 200},
    {"service_version", XARF_TEXT, .max = 100},
    {"malicious_files", XARF_TEXTS},
    {"c2_communications", XARF_TEXTS, .names_host = true},
    {"first_seen", XARF_TIME},
    {0},
};

static const struct xarf_member threat[] = {
    {"threat_type", XARF_TEXT, .is_required = true},
    {0},
};

const struct xarf_type xarf_types[] = {
    {"content", "phishing", "phishing", phishing, content_base},
    {"content", "malware", "malware", malware, content_base},
    {"content", "fraud", "phishing", fraud, content_base},
    {"content", "csam", "csam", csam, content_base},
    {"content", "csem", "csam", csem, content_base},
    {"content", "exposed_data", "other", exposed_data, content_base},
    {"content", "remote_compromise", "malware", remote_compromise, content_base},
    {"content", "suspicious_registration", "other", suspicious_registration, content_base},
    {"content", "brand_infringement", "copyright", brand_infringement, content_base},
    {"messaging", "spam", "spam", spam, NULL},
    {"messaging", "bulk_messaging", "spam", bulk_messaging, NULL},
    {"copyright", "copyright", "copyright", copyright, NULL},
    {"copyright", "cyberlocker", "copyright", cyberlocker, NULL},
    {"copyright", "link_site", "copyright", link_site, NULL},
    {"copyright", "ugc_platform", "copyright", ugc_platform, NULL},
    {"infrastructure", "botnet", "malware", botnet, NULL},
    {"infrastructure", "compromised_server", "malware", compromised_server, NULL},
    {"reputation", "blocklist", "other", threat, NULL},
    {"reputation", "threat_intelligence", "other", threat, NULL},
};

const size_t xarf_type_count = sizeof(xarf_types) / sizeof(xarf_types[0]);
