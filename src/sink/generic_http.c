/* Sources of the words: what the services publish of themselves; isbot and crawler-user-agents
 * (monperrus) for crawlers; nuclei-templates and the SANS Internet Storm Center's diaries for paths
 * that are looked for. */
#include "sink/generic_http.h"

#include <errno.h>
#include <pthread.h>

#include "sink/http_request.h"
#include "sink/word_index.h"

/* All words in lower case. */
static const char *const monitors[] = {
    "uptimerobot",
    "pingdom",
    "statuscake",
    "site24x7",
    "nodeping",
    "better uptime",
    "betterstack",
    "betteruptime",
    "hetrixtools",
    "uptime-kuma",
    "updown.io",
    "blackbox exporter",
    "blackbox-exporter",
    "check_http",
    "zabbix",
    "datadog",
    "newrelicpinger",
    "newrelic",
    "googlestackdrivermonitoring",
    "google-stackdriver",
    "amazon-route53-health-check",
    "elb-healthchecker",
    "kube-probe",
    "googlehc",
    "freshping",
    "checkly",
    "prtg",
    "jetmon",
    "cloudflare-healthchecks",
    "nagios",
    "icinga",
    "healthcheck",
    "montastic",
    "consul health check",
    "uptime",
    "monitis",
    "gomezagent",
    "catchpoint",
    "haproxy",
};

static const char *const crawlers[] = {
    "googlebot",
    "bingbot",
    "yandexbot",
    "baiduspider",
    "duckduckbot",
    "slurp",
    "ahrefsbot",
    "semrushbot",
    "mj12bot",
    "dotbot",
    "applebot",
    "petalbot",
    "gptbot",
    "claudebot",
    "ccbot",
    "bytespider",
    "facebookexternalhit",
    "twitterbot",
    "linkedinbot",
    "archive.org_bot",
    "ia_archiver",
    "seznambot",
    "sogou",
    "exabot",
    "amazonbot",
    "crawler",
    "spider",
    "bot/",
    "bot;",
    "bot)",
    "feedfetcher",
    "mediapartners-google",
    "google-inspectiontool",
    "perplexitybot",
    "yeti/",
    "blexbot",
    "telegrambot",
    "discordbot",
    "whatsapp/",
};

static const char *const scanners[] = {
    "zgrab",
    "masscan",
    "nmap",
    "censys",
    "shodan",
    "expanse",
    "palo alto networks",
    "internetmeasurement",
    "internet-measurement",
    "netsystemsresearch",
    "leakix",
    "l9explore",
    "l9tcpid",
    "l9scan",
    "nuclei",
    "nikto",
    "sqlmap",
    "wpscan",
    "dirbuster",
    "gobuster",
    "feroxbuster",
    "ffuf",
    "fuzz faster",
    "wfuzz",
    "acunetix",
    "nessus",
    "openvas",
    "qualys",
    "binaryedge",
    "onyphe",
    "fofa",
    "zoomeye",
    "stretchoid",
    "shadowserver",
    "getodin",
    "modatscanner",
    "httpx - open",
    "project25499",
    "hello, world",
    "hello world",
    "krebsonsecurity",
    "jorgee",
    "muhstik",

    "alphastrike",
    "rspscan",
    "netscan",
    "internet-structure-research",
    "research scan",
    "security scanner",
    "cloud mapping",
    "cypex.ai",
    "visionheight",
    "zmap",
    "whatweb",
    "xfa1",
    "dirsearch",
    "libredtail",
    "() {",
    "${jndi",
    "scaninfo",
};

/* Parts of targets that only who looks for a hole asks for. */
static const char *const holes[] = {
    "/.env",
    "/.git",
    "/.aws",
    "/.ssh",
    "/.ds_store",
    "/.vscode",
    "/wp-login",
    "/wp-admin",
    "/wp-content/plugins",
    "/wp-includes",
    "/xmlrpc.php",
    "phpmyadmin",
    "/pma/",
    "/cgi-bin/",
    "/boaform",
    "/gponform",
    "/hnap1",
    "/shell?",
    "/setup.cgi",
    "/manager/html",
    "/actuator",
    "/solr/",
    "/vendor/phpunit",
    "/_ignition",
    "/api/jsonws",
    "/owa/",
    "/autodiscover/",
    "/ecp/",
    "/remote/fgt_lang",
    "/+cscoe+",
    "/dana-na",
    "/hudson",
    "/invoker",
    "/console/",
    "/device.rsp",
    "/druid/",
    "/geoserver",
    "/telescope",
    "/login.cgi",
    "../",
    "%2e%2e",
    "..%2f",
    "%00",
    "jndi:",
    "/etc/passwd",
    "wget+http",
    "wget%20",
    "union+select",
    "union%20select",
    "<script",
    "xdebug_session",
    "/nice%20ports",
    "/evox/",
    "invokefunction",
    "/ab2g",
    "/ab2h",
    "/stager64",
    "/portal/redlion",
    "/currentsetting.htm",
    "/goform/",
    "/hikvision",
    "/system.ini",
    "/server-status",
    "/webui/",
    "/sitecore",
    "/struts",
    "eval-stdin",
    "/ftptest.cgi",
    "/lab.html",
    "/ui/login.action",
    "/aspera",
    "/_all_dbs",
    "/containers/json",
    "/v2/_catalog",
    "/query?q=show",
    "/global-protect",
    "/sslvpn",
    "/vpn/",
    "/ctrlt/",
    "/upnpdev",
    "/picsdesc.xml",
    "/wanipcn.xml",
    "/jaws",
    "/mozi.",
    "/dump.sql",
    "/phpinfo",
    "/info.php",
    "/adminer",
    "/onvif",
    "/json_rpc",
    "/jsonrpc",
    "/powershell",
    "/exec?",

};

/* Where an agent has words of more groups the lower one counts. */
enum agent_group { AGENT_SCANNER, AGENT_MONITOR, AGENT_CRAWLER };

static struct word_index agent_words, target_words;
static pthread_once_t words_indexed = PTHREAD_ONCE_INIT;

#define ADD_WORDS(index, group, words) \
    word_index_add(index, group, words, sizeof(words) / sizeof((words)[0]))

static void index_words(void)
{
    ADD_WORDS(&agent_words, AGENT_SCANNER, scanners);
    ADD_WORDS(&agent_words, AGENT_MONITOR, monitors);
    ADD_WORDS(&agent_words, AGENT_CRAWLER, crawlers);
    ADD_WORDS(&target_words, 0, holes);
}

static enum sink_kind request_kind(const struct http_request *request)
{
    bool is_proxied = text_is(request->method, "connect") || request->target.octets[0] == 'h' ||
                      request->target.octets[0] == 'H';
    pthread_once(&words_indexed, index_words);
    uint8_t agent = word_index_find(&agent_words, request->agent);
    if (agent == AGENT_SCANNER || is_proxied ||
        word_index_find(&target_words, request->target) != WORD_INDEX_NO_GROUP)
        return SINK_HTTP_SCAN;
    if (agent == AGENT_MONITOR)
        return SINK_MONITOR;
    return agent == AGENT_CRAWLER ? SINK_CRAWLER : SINK_HTTP;
}

bool generic_http_recognise(const uint8_t *octets, size_t size,
                            struct sink_recognition *recognition)
{
    struct http_request request;
    int rc = http_request_read(octets, size, &request);
    if (rc < 0 && rc != -EAGAIN)
        return false;
    recognition->kind = request_kind(&request);
    recognition->family = "";
    recognition->rule = "http";
    recognition->wellformed = rc == 0 && request.strict;
    recognition->host = request.host;
    recognition->agent = request.agent;
    return true;
}
