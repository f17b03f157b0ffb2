GET /is-ready HTTP/1.1
Host: www.example
User-Agent: Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)
Accept: */*

