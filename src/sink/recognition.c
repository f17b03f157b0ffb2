#include "sink/recognition.h"

const char *const sink_kind_names[SINK_KIND_COUNT] = {
    [SINK_NOTHING] = "nothing", [SINK_UNKNOWN] = "unknown", [SINK_CHECKIN] = "check-in",
    [SINK_BEACON] = "beacon",   [SINK_HTTP] = "http",       [SINK_HTTP_SCAN] = "http-scan",
    [SINK_CRAWLER] = "crawler", [SINK_MONITOR] = "monitor", [SINK_TLS] = "tls",
    [SINK_SSH] = "ssh",         [SINK_SMB] = "smb",         [SINK_RDP] = "rdp",
    [SINK_DNS] = "dns",         [SINK_PROBE] = "probe",
};
