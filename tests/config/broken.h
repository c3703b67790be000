/* SPDX-License-Identifier: ISC */
/* Configurations that are refused, and every word that is said of each. */
/* clang-format off */
#define AUTH_CONNECTOR(text)                                                             \
	"connector \"apps\" { bindings = { \"127.0.0.1:2525\" } " text " }\n"
static const struct broken {
	const char *name;
	const char *text;
	const char *complaints; /* one a line */
} broken[] = {
	{ "a section that is never closed",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"app\" {\n"
		"    senders = { \"@example.com\" }\n",
		"relayd.conf:4: the \"{\" on this line is never closed; add \"}\"\n" },
	{ "a list that is never closed",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"app\" {\n"
		"    senders = { \"@example.com\"\n"
		"    recipients = { \"*\" }\n"
		"}\n",
		"relayd.conf:4: the \"{\" on this line is never closed; add \"}\"\n"
		"relayd.conf:6: expected \",\" or \"}\" after a value of a list, found "
		"'recipients'\n" },
	{ "a brace too many",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"}\n",
		"relayd.conf:5: this \"}\" closes nothing; remove it, or add what it "
		"should close\n" },
	{ "a parenthesis for a brace",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"app\" { senders = { \"@example.com\" ) }\n",
		"relayd.conf:4: \")\" stands here, but what is open since line 4 "
		"needs \"}\"\n" },
	{ "an include that is not closed",
		HOSTNAME
		"include(\"x\"\n",
		"relayd.conf:2: the \"(\" on this line is never closed; add \")\"\n" },
	{ "a string over the end of a line",
		"hostname = \"relay.example.com\n"
		"user = \"x\"\n",
		"relayd.conf:1: the string that begins here is not closed on its "
		"line; add the closing double quote\n" },
	{ "a string over the end of the file",
		"hostname = \"relay",
		"relayd.conf:1: the string that begins here is not closed on its "
		"line; add the closing double quote\n" },
	{ "a single-quoted string over the end of a line",
		"hostname = 'relay.example.com\n",
		"relayd.conf:1: the string that begins here is not closed on its "
		"line; add the closing single quote\n" },
	{ "a comment that is never closed",
		HOSTNAME
		"/* the rest\n"
		"of the file\n",
		"relayd.conf:2: the comment that begins here is never closed; add "
		"\"*/\"\n" },
	{ "an unquoted star",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"app\" { senders = { @example.com } recipients = { * } }\n",
		"relayd.conf:4: '*' must stand in double quotes; write \"*\"\n" },
	{ "an unquoted star before a domain",
		HOSTNAME
		"accepted-domain *.example.com { }\n",
		"relayd.conf:2: '*.example.com' must stand in double quotes; write "
		"\"*.example.com\"\n" },
	{ "a variable of the environment",
		"hostname = \"${HOSTNAME}\"\n",
		"relayd.conf:1: \"${\" may not stand in a value: nothing is taken "
		"from the environment; write the value itself\n" },
	{ "a variable outside a string",
		"hostname = ${HOSTNAME}\n",
		"relayd.conf:1: \"${\" may not stand in a value: nothing is taken "
		"from the environment; write the value itself\n" },
	{ "a backslash that means nothing",
		HOSTNAME
		"state-dir = \"C:\\\\temp\\n\"\n",
		"relayd.conf:2: a backslash may stand only before '\"' or another "
		"backslash, inside double quotes; write \"\\\\\" for one backslash\n" },
	{ "a backslash in single quotes",
		HOSTNAME
		"state-dir = 'a\\\\b'\n",
		"relayd.conf:2: a backslash may stand only before '\"' or another "
		"backslash, inside double quotes; write \"\\\\\" for one backslash\n" },
	{ "a control byte",
		"hostname = \"relay\007\"\n",
		"relayd.conf:1: the control byte 0x07 may not stand in a "
		"configuration; remove it\n" },
	{ "a line that is not UTF-8",
		HOSTNAME
		"# caf\351\n",
		"relayd.conf:2: this line is not UTF-8 text; save the file in "
		"UTF-8\n" },
	{ "a bare carriage return",
		HOSTNAME
		"# a\015b\n",
		"relayd.conf:2: the control byte 0x0D may not stand in a "
		"configuration; remove it\n" },
	{ "a semicolon after a string",
		"hostname = \"relay.example.com\";\n",
		"relayd.conf:1: \";\" is not used here; remove it\n" },
	{ "a semicolon after a word",
		HOSTNAME
		"workers = 2;\n",
		"relayd.conf:2: \";\" is not used here; remove it\n" },
	{ "a missing equal sign",
		"hostname \"relay.example.com\"\n",
		"relayd.conf:1: expected \"=\" after 'hostname', found "
		"'relay.example.com'; write hostname = \"relay.example.com\"\n" },
	{ "a colon for an equal sign",
		"hostname: \"relay.example.com\"\n",
		"relayd.conf:1: expected \"=\" after 'hostname:', found "
		"'relay.example.com'; write hostname: = \"relay.example.com\"\n" },
	{ "a missing value",
		"hostname =\n"
		"user = \"x\"\n",
		"relayd.conf:1: option 'hostname' has no value; write one behind "
		"the \"=\"\n" },
	{ "a missing value at the end",
		HOSTNAME
		"user =",
		"relayd.conf:2: option 'user' has no value; write one behind the "
		"\"=\"\n" },
	{ "an appended list",
		HOSTNAME
		"connector \"apps\" { bindings += { \"0.0.0.0:25\" } }\n",
		"relayd.conf:2: \"+=\" is not used here; write one list with \"=\"\n" },
	{ "a missing comma",
		HOSTNAME
		"connector \"apps\" { bindings = { \"0.0.0.0:25\" \"[::]:25\" } }\n",
		"relayd.conf:2: expected \",\" or \"}\" after a value of a list, found "
		"'\"[::]:25\"'\n" },
	{ "two commas",
		HOSTNAME
		"connector \"apps\" { bindings = { \"0.0.0.0:25\",, \"[::]:25\" } }\n",
		"relayd.conf:2: expected a value or \"}\", found ','\n" },
	{ "a list in a list",
		HOSTNAME
		"connector \"apps\" { bindings = { { \"0.0.0.0:25\" } } }\n",
		"relayd.conf:2: expected a value or \"}\", found '{'\n" },
	{ "a list without an equal sign",
		HOSTNAME
		"connector \"apps\" {\n"
		"    bindings { \"0.0.0.0:25\" }\n"
		"}\n",
		"relayd.conf:3: a list of values follows 'bindings'; write "
		"bindings = { ... }\n" },
	{ "a value where a name belongs",
		HOSTNAME
		"\"user\" = \"x\"\n",
		"relayd.conf:2: expected the name of an option or section, found "
		"'\"user\"'\n" },
	{ "a name alone",
		HOSTNAME
		"user\n",
		"relayd.conf:2: expected \"=\" or \"{\" after 'user'\n" },
	{ "sections nested without end",
		HOSTNAME
		"a { a { a { a { a { } } } } }\n",
		"relayd.conf:2: sections are nested too deeply here\n" },
	{ "an include inside a section",
		HOSTNAME
		"connector \"apps\" {\n"
		"    include(\"x\")\n"
		"}\n",
		"relayd.conf:3: 'include' may not stand inside a section; put "
		"whole sections into the other file\n" },
	{ "an include without a file",
		HOSTNAME
		"include()\n",
		"relayd.conf:2: 'include' needs the name of a file; write "
		"include(\"FILE\")\n" },
	{ "an include without parentheses",
		HOSTNAME
		"include \"x\"\n",
		"relayd.conf:2: expected \"(\" after 'include'; write "
		"include(\"FILE\")\n" },
	{ "an include of two files",
		HOSTNAME
		"include(\"a\", \"b\")\n",
		"relayd.conf:2: 'include' takes one file; write include(\"FILE\")\n" },
	{ "an include that does not exist",
		HOSTNAME
		"\n"
		"include(\"missing.conf\")\n",
		"relayd.conf:3: cannot read the configuration file 'missing.conf': "
		"No such file or directory\n" },
	{ "an include of itself",
		HOSTNAME
		"include(\"loop.conf\")\n",
		"loop.conf:1: more than 8 files include one another here; does one "
		"of them include itself?\n" },
	{ "an include with a mistake in its text",
		HOSTNAME
		"include(\"unclosed.conf\")\n",
		"unclosed.conf:3: the \"{\" on this line is never closed; add \"}\"\n" },
	{ "an include with a mistake in a value",
		HOSTNAME
		CONNECTOR
		ROUTE
		"include(\"wrong.conf\")\n",
		"wrong.conf:3: option 'networks' of grant \"more\": '10.0.0.0/99' is "
		"not an address, prefix or range; write for example \"10.0.0.0/8\", "
		"\"10.21.5.1-10.21.5.40\" or \"table:NAME\"\n" },
	{ "a grant that an include has too",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"include(\"twice.conf\")\n",
		"twice.conf:1: there is already a grant \"app\" (relayd.conf:4); "
		"give this one a name of its own\n" },
	{ "an unknown option with a likely name",
		HOSTNAME
		"hostnme = \"x\"\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: unknown option 'hostnme'; did you mean 'hostname'?\n" },
	{ "an unknown option that is like nothing",
		HOSTNAME
		"colour = \"blue\"\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: unknown option 'colour'; relayd.conf(5) tells "
		"which there are\n" },
	{ "an unknown section",
		HOSTNAME
		"colours { }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: unknown section 'colours'; relayd.conf(5) tells "
		"which there are\n" },
	{ "a section with a likely name",
		HOSTNAME
		ROUTE
		GRANT
		"conector \"apps\" { bindings = { \"127.0.0.1:2525\" } }\n",
		"relayd.conf:4: unknown section 'conector'; did you mean "
		"'connector'?\n" },
	{ "an unknown option of a section",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    max-mesage-size = \"1MB\"\n"
		"}\n",
		"relayd.conf:6: unknown option 'max-mesage-size' of connector "
		"\"apps\"; did you mean 'max-message-size'?\n" },
	{ "an option of another section",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    senders = { \"@example.com\" }\n"
		"}\n",
		"relayd.conf:6: unknown option 'senders' of connector \"apps\"; it "
		"belongs into a section 'grant'\n" },
	{ "an option of a section at the top",
		HOSTNAME
		"bindings = { \"0.0.0.0:25\" }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: unknown option 'bindings'; it belongs into a "
		"section 'connector'\n" },
	{ "a top option inside a section",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    hostname = \"relay.example.com\"\n"
		"}\n",
		"relayd.conf:6: option 'hostname' may not stand inside connector "
		"\"apps\"; put it at the top level of the file (is a \"}\" missing "
		"before it?)\n" },
	{ "a section inside another",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    route \"x\" { }\n"
		"}\n",
		"relayd.conf:6: section 'route' may not stand inside connector "
		"\"apps\"; put it at the top level of the file (is a \"}\" missing "
		"before it?)\n" },
	{ "an option twice",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    owner = \"a\"\n"
		"    owner = \"b\"\n"
		"}\n",
		"relayd.conf:9: option 'owner' of grant \"billing\" stands twice "
		"(first relayd.conf:8); remove one\n" },
	{ "a top option twice",
		HOSTNAME
		"\n"
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:3: option 'hostname' stands twice (first "
		"relayd.conf:1); remove one\n" },
	{ "a section twice",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"queue { }\n"
		"queue { }\n",
		"relayd.conf:6: section 'queue' stands twice (first "
		"relayd.conf:5); remove one\n" },
	{ "a name twice",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"\n"
		GRANT,
		"relayd.conf:6: there is already a grant \"app\" (relayd.conf:4); "
		"give this one a name of its own\n" },
	{ "a name twice in other letters",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"grant \"APP\" { networks = \"10.0.0.0/8\" senders = \"@example.com\" "
		"recipients = \"*\" }\n",
		"relayd.conf:5: there is already a grant \"APP\" (relayd.conf:4); "
		"give this one a name of its own\n" },
	{ "a section without its name",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route {\n"
		"}\n",
		"relayd.conf:5: section 'route' needs a name; write route \"NAME\" { "
		"... }\n" },
	{ "a name for a section that has none",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"queue \"x\" { }\n",
		"relayd.conf:5: section 'queue' has no name of its own; write "
		"queue { ... }\n" },
	{ "a name with a space",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"grant \"my app\" { senders = \"@example.com\" recipients = \"*\" }\n",
		"relayd.conf:5: 'my app' cannot be the name of a grant; a name has "
		"1 to 64 letters, digits, \"-\", \"_\" and \".\"\n" },
	{ "an empty name",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"table \"\" { }\n",
		"relayd.conf:5: '' cannot be the name of a table; a name has 1 to "
		"64 letters, digits, \"-\", \"_\" and \".\"\n" },
	{ "a value for a section",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"queue = \"5d\"\n",
		"relayd.conf:5: 'queue' is a section; write queue { ... }\n" },
	{ "a value for a named section",
		HOSTNAME
		ROUTE
		GRANT
		"connector = \"apps\"\n",
		"relayd.conf:4: 'connector' is a section; write connector \"NAME\" { "
		"... }\n" },
	{ "a section for a value",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"user { }\n",
		"relayd.conf:5: option 'user' takes one value; write for example "
		"user = \"_relayd\"\n" },
	{ "a list for a value",
		HOSTNAME
		"user = { \"a\", \"b\" }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'user' takes one value; write for example "
		"user = \"_relayd\"\n" },
	{ "tls without a certificate, with paths and names that are none",
		HOSTNAME
		"tls \"a\" { }\n"
		"tls \"b\" { certificate = \"cert.pem\" client-ca = \"ca.pem\" profile = \"old\" }\n"
		"tls \"c\" { certificate = \"/c\" server-names = { \"*.*.example.com\" } }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: tls \"a\" has no certificate; write for example certificate = "
		"\"/etc/relayd/tls/fullchain.pem\"\n"
		"relayd.conf:3: option 'client-ca' of tls \"b\": 'ca.pem' is not an absolute "
		"path; write one that begins with \"/\"\n"
		"relayd.conf:3: option 'profile' of tls \"b\": 'old' is unknown; "
		"write \"modern\" or \"intermediate\" or \"legacy\"\n"
		"relayd.conf:3: option 'certificate' of tls \"b\": 'cert.pem' is not an absolute "
		"path; write one that begins with \"/\"\n"
		"relayd.conf:4: option 'server-names' of tls \"c\": '*.*.example.com' is not a "
		"host name; write for example \"mx.example.com\" or \"*.example.com\"\n" },
	{ "tls lists that do not belong together",
		HOSTNAME
		"tls \"a\" { certificate = { \"/rsa\", \"/ecdsa\" } key = \"/key\" }\n"
		"tls \"b\" { certificate = { \"/rsa\", \"/ecdsa\" } ocsp-staple = \"/x\" }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: tls \"a\" names 2 certificates and 1 keys; write one key for each "
		"certificate, in the same order, or remove 'key' if the keys are in the same "
		"files\n"
		"relayd.conf:3: tls \"b\" names 2 certificates and 1 staples; write one (or \"\") "
		"for each certificate, in the same order, or remove 'ocsp-staple'\n" },
	{ "a connector with TLS and no tls section",
		HOSTNAME
		"connector \"apps\" { bindings = \"127.0.0.1:2525\" tls = \"offered\" }\n"
		ROUTE
		GRANT,
		"relayd.conf:2: option 'tls' of connector \"apps\": 'offered' needs a "
		"certificate, and there is no section tls; write tls \"default\" { certificate = "
		"\"/etc/relayd/tls/fullchain.pem\"  key = \"/etc/relayd/tls/key.pem\" }\n" },
	{ "tls sections that a connector cannot have",
		HOSTNAME
		"tls \"one\" { certificate = \"/c\" }\n"
		"tls \"two\" { certificate = \"/c\" }\n"
		"connector \"a\" { bindings = \"127.0.0.1:2525\" tls = \"implicit\" }\n"
		"connector \"b\" { bindings = \"127.0.0.1:2526\" tls = \"required\"\n"
		"    tls-section = \"tow\" }\n"
		"connector \"c\" { bindings = \"127.0.0.1:2527\" tls-section = \"one\" }\n"
		ROUTE
		GRANT,
		"relayd.conf:4: connector \"a\" has to say which of the 2 tls sections is its own; "
		"write for example tls-section = \"one\", or call one of them \"default\"\n"
		"relayd.conf:6: option 'tls-section' of connector \"b\": 'tow' is not the name of "
		"a tls section; did you mean \"two\"?\n"
		"relayd.conf:7: option 'tls-section' of connector \"c\": 'one' has no effect "
		"without TLS; write tls = \"offered\" (or \"required\", \"implicit\"), or remove "
		"it\n" },
	{ "a pickup directory without its name",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"pickup { }\n",
		"relayd.conf:5: pickup has no directory; write for example "
		"directory = \"/var/lib/relayd/pickup\"\n" },
	{ "a pickup directory with a relative name",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"pickup { directory = \"drop\" }\n",
		"relayd.conf:5: option 'directory' of pickup: 'drop' is not an absolute path; "
		"write one that begins with \"/\"\n" },
	{ "a grant for a pickup directory that is not there",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"a\" { networks = { \"pickup\" } senders = { \"@a.example\" } "
		"recipients = { \"*\" } }\n",
		"relayd.conf:4: option 'networks' of grant \"a\": 'pickup' is the client of the "
		"pickup directory, and there is none; write pickup { directory = \"...\" }, or "
		"remove this\n" },
	{ "a route that only takes some of what a grant accepts",
		HOSTNAME
		CONNECTOR
		"route \"shop\" { recipients = \"*\" senders = \"@shop.example\" "
		"next-hops = \"192.0.2.1\" }\n"
		GRANT,
		"relayd.conf:4: grant \"app\" allows recipients \"*\", but no route takes all of "
		"them; write route = \"NAME\" here, or recipients = { \"*\" } in a route without "
		"senders, min-size and max-size\n" },
	{ "routes with conditions that cannot be met",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"a\" { recipients = \"*\" senders = { } next-hops = \"192.0.2.1\" }\n"
		"route \"b\" { recipients = \"*\" min-size = \"2MB\" max-size = \"1MB\"\n"
		"    next-hops = \"192.0.2.1\" }\n"
		"route \"c\" { min-size = \"2MB\" next-hops = \"192.0.2.1\" }\n"
		"route \"d\" { recipients = \"*\" senders = \"shop\" max-size = \"large\"\n"
		"    next-hops = \"192.0.2.1\" }\n",
		"relayd.conf:5: option 'senders' of route \"a\": the list is empty; no message "
		"would ever take this route; write patterns, or remove the option for any sender\n"
		"relayd.conf:6: route \"b\" has a min-size above its max-size, so no message would "
		"ever take it; write a smaller min-size\n"
		"relayd.conf:8: route \"c\" has min-size but no recipients, and a grant that names "
		"a route is not asked for more; write recipients = { \"*\" }, or remove min-size\n"
		"relayd.conf:9: option 'senders' of route \"d\": 'shop' is not a sender pattern; "
		"write an address, \"@example.com\", \"@*.example.com\" for all domains below it, "
		"or \"*\"\n"
		"relayd.conf:9: option 'max-size' of route \"d\": 'large' is not a size; write for "
		"example \"36MB\", \"100KB\" or a number of octets\n" },
	{ "metrics without an address",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"metrics { }\n",
		"relayd.conf:5: metrics has no listen; write for example listen = "
		"\"127.0.0.1:9925\"\n" },
	{ "metrics at no address",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"metrics { listen = \"localhost\" }\n",
		"relayd.conf:5: option 'listen' of metrics: 'localhost' is not an address and a "
		"port; write for example \"127.0.0.1:9925\" or \"[::1]:9925\"\n" },
	{ "metrics for everybody",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"metrics { listen = \"0.0.0.0:9925\" }\n",
		"relayd.conf:5: option 'listen' of metrics: '0.0.0.0:9925' is no address of this "
		"machine alone, and the figures are given to whoever asks; write "
		"\"127.0.0.1:9925\", and let a web server that checks who asks pass them on\n" },
	{ "metrics where a connector listens",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"metrics { listen = \"127.0.0.1:2525\" }\n",
		"relayd.conf:5: option 'listen' of metrics: '127.0.0.1:2525' is where a connector "
		"listens; write another port\n" },
	{ "a shared section without Redis",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"shared { when-away = \"closed\" }\n",
		"relayd.conf:5: shared has no redis; write for example redis = "
		"\"redis://127.0.0.1:6379/0\"\n" },
	{ "a Redis that is none",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"shared {\n"
		"    redis = \"rediss://127.0.0.1\"\n"
		"    when-away = \"ajar\"\n"
		"    password-file = \"password\"\n"
		"}\n",
		"relayd.conf:6: option 'redis' of shared: 'rediss://127.0.0.1' is not the "
		"address of a Redis server; write for example "
		"\"redis://127.0.0.1:6379/0\"\n"
		"relayd.conf:7: option 'when-away' of shared: 'ajar' is unknown; write "
		"\"open\" or \"closed\"\n"
		"relayd.conf:8: option 'password-file' of shared: 'password' is not an "
		"absolute path; write one that begins with \"/\"\n" },
	{ "a password in the address of Redis, which is not shown",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"shared { redis = \"redis://:secret@127.0.0.1/0\" }\n",
		"relayd.conf:5: shared has an '@' in option 'redis'; write only "
		"\"redis://HOST:PORT/DATABASE\", and the password into a file that "
		"password-file names\n" },
	{ "a message rate of nothing",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    message-rate-limit = \"fast\"\n"
		"}\n",
		"relayd.conf:6: option 'message-rate-limit' of connector \"apps\": 'fast' is "
		"not a number; write for example 4 or \"unlimited\"\n" },
	{ "limits that are none",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    limits = { \"600 messages/hour\", \"600 mails/hour\",\n"
		"               \"20 sessions/day\",\n"
		"               \"700 messages/hour\" }\n"
		"}\n",
		"relayd.conf:8: option 'limits' of grant \"billing\": '600 mails/hour' is "
		"not a limit; write for example \"600 messages/hour\", \"5000 "
		"recipients/day per sender\", \"2GB bytes/day\" or \"20 sessions per "
		"address\"\n"
		"relayd.conf:9: option 'limits' of grant \"billing\": '20 sessions/day' is "
		"not a limit; write for example \"600 messages/hour\", \"5000 "
		"recipients/day per sender\", \"2GB bytes/day\" or \"20 sessions per "
		"address\"\n"
		"relayd.conf:10: option 'limits' of grant \"billing\": '700 messages/hour' "
		"limits the same as one before it; remove one\n" },
	{ "go-betweens that are no addresses",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    proxy-protocol = { \"haproxy.example.com\", \"10.0.0.0/33\" }\n"
		"    xclient = { \"table:fronts\" }\n"
		"}\n",
		"relayd.conf:6: option 'proxy-protocol' of connector \"apps\": "
		"'haproxy.example.com' is not an address, prefix or range; write for "
		"example \"10.0.0.0/8\", \"10.21.5.1-10.21.5.40\" or \"table:NAME\"\n"
		"relayd.conf:6: option 'proxy-protocol' of connector \"apps\": "
		"'10.0.0.0/33' is not an address, prefix or range; write for "
		"example \"10.0.0.0/8\", \"10.21.5.1-10.21.5.40\" or \"table:NAME\"\n"
		"relayd.conf:7: option 'xclient' of connector \"apps\": 'table:fronts' "
		"names a table that does not exist; add table \"NAME\" { type = ... "
		"file = ... }\n" },
	{ "options of a connector of a later release",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    dnsbl = { \"zen.spamhaus.org\" }\n"
		"}\n",
		"relayd.conf:6: option 'dnsbl' of connector \"apps\": not available "
		"in this release of relayd; remove it\n" },
	{ "an option of a grant of a later release",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    require = { \"spf\" }\n"
		"}\n",
		"relayd.conf:8: option 'require' of grant \"billing\": not "
		"available in this release of relayd; remove it\n" },
	{ "routes to mail exchangers that make no sense",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"other\" {\n"
		"    recipients = \"@example.com\"\n"
		"    next-hops = { \"mx\", \"mx\" }\n"
		"    balance = true\n"
		"    tls = \"dane\"\n"
		"    tls-name = \"a.example\"\n"
		"    auth { user = \"x\" password-file = \"/etc/pw\" }\n"
		"}\n"
		"route \"third\" {\n"
		"    recipients = \"@example.net\"\n"
		"    next-hops = \"192.0.2.1\"\n"
		"    port = 26\n"
		"    mta-sts = true\n"
		"}\n"
		"mta-sts { port = 0 }\n",
		"relayd.conf:7: option 'next-hops' of route \"other\": 'mx' has "
		"to come first, and once; next hops behind it stand in for mail "
		"exchangers that cannot be reached\n"
		"relayd.conf:8: option 'balance' of route \"other\": 'true' has "
		"no meaning for mail exchangers, whose order their domain "
		"decides; remove it\n"
		"relayd.conf:9: option 'tls' of route \"other\": 'dane' needs "
		"answers that DNSSEC vouches for; write dns { trust-anchor-file "
		"= \"/usr/share/dns/root.key\" }\n"
		"relayd.conf:10: option 'tls-name' of route \"other\": "
		"'a.example' has no meaning for mail exchangers, each of which "
		"has its own name; remove it\n"
		"relayd.conf:11: auth of route \"other\" would tell the login "
		"to the mail exchangers of every domain; remove it, or name the "
		"next hop\n"
		"relayd.conf:16: option 'port' of route \"third\": '26' is for "
		"mail exchangers; write the port behind the next hop, as in "
		"\"smtp.example.com:587\"\n"
		"relayd.conf:17: option 'mta-sts' of route \"third\": 'true' "
		"has no effect without mail exchangers; write next-hops = { "
		"\"mx\" }, or remove it\n"
		"relayd.conf:19: option 'port' of mta-sts: '0' is out of range; "
		"write 1 to 65535\n" },
	{ "TLS and login of a route that make no sense",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"other\" {\n"
		"    recipients = \"*\"\n"
		"    next-hops = \"192.0.2.1\"\n"
		"    tls = \"none\"\n"
		"    tls-ca = \"/etc/ca.pem\"\n"
		"    key = \"client.key\"\n"
		"    auth { mechanism = \"PLAIN\" user = \"\" password-file = \"pw\" }\n"
		"}\n"
		"route \"third\" {\n"
		"    recipients = \"@example.com\"\n"
		"    next-hops = \"192.0.2.1\"\n"
		"    tls = \"sometimes\"\n"
		"    tls-name = \"a b\"\n"
		"    tls-implicit = \"maybe\"\n"
		"    balance = \"maybe\"\n"
		"    auth { mechanism = \"NTLM\" }\n"
		"}\n"
		"route \"fourth\" {\n"
		"    recipients = \"@example.net\"\n"
		"    maildir = \"/var/mail/drop\"\n"
		"    tls = \"verify\"\n"
		"    auth { user = \"x\" }\n"
		"}\n",
		"relayd.conf:9: option 'tls-ca' of route \"other\": '/etc/ca.pem' has "
		"no effect without TLS; write tls = \"verify\", or remove it\n"
		"relayd.conf:10: option 'key' of route \"other\": 'client.key' is not "
		"an absolute path; write one that begins with \"/\"\n"
		"relayd.conf:10: option 'key' of route \"other\": 'client.key' has no "
		"effect without TLS; write tls = \"verify\", or remove it\n"
		"relayd.conf:11: option 'user' of auth of route \"other\": '' is "
		"empty; write something, or remove the option\n"
		"relayd.conf:11: option 'password-file' of auth of route \"other\": "
		"'pw' is not an absolute path; write one that begins with \"/\"\n"
		"relayd.conf:11: auth of route \"other\" would send the password in "
		"clear, which relayd does on loopback only; write tls = \"verify\" in "
		"the route\n"
		"relayd.conf:16: option 'tls' of route \"third\": 'sometimes' is "
		"unknown; write \"none\" or \"opportunistic\" or \"required\" or "
		"\"verify\" or \"dane\"\n"
		"relayd.conf:17: option 'tls-name' of route \"third\": 'a b' is not a "
		"host name; write the name that the next hop's certificate has, for "
		"example \"smtp.example.com\"\n"
		"relayd.conf:18: option 'tls-implicit' of route \"third\": 'maybe' is "
		"neither true nor false; write one of them\n"
		"relayd.conf:19: option 'balance' of route \"third\": 'maybe' is "
		"neither true nor false; write one of them\n"
		"relayd.conf:20: option 'mechanism' of auth of route \"third\": 'NTLM' "
		"is unknown; write \"SCRAM-SHA-256\" or \"SCRAM-SHA-1\" or "
		"\"CRAM-MD5\" or \"PLAIN\" or \"LOGIN\" or \"XOAUTH2\" or "
		"\"OAUTHBEARER\"\n"
		"relayd.conf:20: auth of route \"third\" has no user; write for "
		"example user = \"relay@example.com\"\n"
		"relayd.conf:20: auth of route \"third\" has no password-file; write "
		"for example password-file = \"/etc/relayd/password\"\n"
		"relayd.conf:25: option 'tls' of route \"fourth\": 'verify' has no "
		"meaning for a Maildir; remove it\n"
		"relayd.conf:26: auth of route \"fourth\" has no meaning for a "
		"Maildir; remove it\n" },
	{ "options of the queue of a later release",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"queue {\n"
		"    warn-after = \"soon\"\n"
		"    bounce-from = \"the postmaster\"\n"
		"    undeliverable = \"drop\"\n"
		"}\n",
		"relayd.conf:6: option 'warn-after' of queue: 'soon' is not a duration; "
		"write for example \"5s\", \"10m\", \"1h\" or \"5d\"\n"
		"relayd.conf:7: option 'bounce-from' of queue: 'the postmaster' is not an "
		"address; write for example \"postmaster@example.com\"\n"
		"relayd.conf:8: option 'undeliverable' of queue: 'drop' is unknown; write "
		"\"keep\" or \"postmaster\"\n" },
	{ "senders of a grant that cannot be rewritten so",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    rewrite-sender = \"nobody\"\n"
		"    bounce-to = \"ops\"\n"
		"    sender-map = { \"root@localhost\", \"a b = c@example.com\" }\n"
		"}\n",
		"relayd.conf:8: option 'rewrite-sender' of grant \"billing\": 'nobody' is "
		"not an address; write for example \"noreply@example.com\"\n"
		"relayd.conf:9: option 'bounce-to' of grant \"billing\": 'ops' is not an "
		"address; write for example \"ops@example.com\"\n"
		"relayd.conf:10: option 'sender-map' of grant \"billing\": "
		"'root@localhost' is not an entry of a map; write for example "
		"\"root@localhost = ops@example.com\" or \"@localhost = "
		"noreply@example.com\"\n"
		"relayd.conf:10: option 'sender-map' of grant \"billing\": "
		"'a b = c@example.com' is not an entry of a map; write for example "
		"\"root@localhost = ops@example.com\" or \"@localhost = "
		"noreply@example.com\"\n" },
	{ "options of the audit of a later release",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"audit {\n"
		"    jsonl = false\n"
		"    sqlite = true\n"
		"    keep = \"400d\"\n"
		"    syslog = true\n"
		"}\n",
		"relayd.conf:6: option 'jsonl' of audit: 'false' cannot be: the "
		"JSON Lines are the record of truth and are always written; write "
		"true, or remove the option\n"
		"relayd.conf:7: option 'sqlite' of audit: not available in this "
		"release of relayd; remove it\n"
		"relayd.conf:8: option 'keep' of audit: not available in this "
		"release of relayd; remove it\n"
		"relayd.conf:9: option 'syslog' of audit: not available in this "
		"release of relayd; remove it\n" },
	{ "an empty file",
		"",
		"relayd.conf: option 'hostname' is missing; write for example "
		"hostname = \"relay.example.com\"\n"
		"relayd.conf: there is no connector, so nobody could connect; "
		"write connector \"NAME\" { bindings = { \"0.0.0.0:25\" } }\n" },
	{ "a missing host name",
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf: option 'hostname' is missing; write for example "
		"hostname = \"relay.example.com\"\n" },
	{ "a host name that is none",
		"hostname = \"relay_example..com\"\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:1: option 'hostname': 'relay_example..com' is not a "
		"host name; write for example \"relay.example.com\"\n" },
	{ "an empty host name",
		"hostname = \"\"\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:1: option 'hostname': '' is not a host name; write "
		"for example \"relay.example.com\"\n" },
	{ "a relative state directory",
		HOSTNAME
		"state-dir = \"var\"\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'state-dir': 'var' is not an absolute path; "
		"write one that begins with \"/\"\n" },
	{ "a number of workers that is none",
		HOSTNAME
		"workers = \"all\"\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'workers': 'all' is not a number; write for "
		"example 4\n" },
	{ "too many workers",
		HOSTNAME
		"workers = 1000\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'workers': '1000' is out of range; write 0 "
		"to 128\n" },
	{ "a negative number of workers",
		HOSTNAME
		"workers = -1\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'workers': '-1' is not a number; write for "
		"example 4\n" },
	{ "an empty account",
		HOSTNAME
		"user = \"\"\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'user': '' is empty; write something, or "
		"remove the option\n" },
	{ "a reply for no reason",
		HOSTNAME
		"reply \"relay.nogrant\" { text = \"No\" }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: reply \"relay.nogrant\" is for no reason that there is; did you mean \"relay.no-grant\"?\n" },
	{ "a reply for nothing",
		HOSTNAME
		"reply \"everything\" { text = \"No\" }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: reply \"everything\" is for no reason that there is; relayctl reason lists them\n" },
	{ "a reply that nobody hears",
		HOSTNAME
		"reply \"session.abandoned\" { text = \"No\" }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: reply \"session.abandoned\" cannot be: the client is gone, so nothing is answered; remove it\n" },
	{ "a reply that says nothing new",
		HOSTNAME
		"reply \"relay.no-grant\" { }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: reply \"relay.no-grant\" has no text; write for example text = \"Ask it@example.com for a grant\"\n" },
	{ "a refusal that would accept",
		HOSTNAME
		"reply \"relay.no-grant\" { code = 250 }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'code' of reply \"relay.no-grant\": '250' would make something else of a refusal; write a code from 500 to 599\n" },
	{ "a deferral that would refuse",
		HOSTNAME
		"reply \"storage.full\" { code = 552 }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'code' of reply \"storage.full\": '552' would make something else of a deferral; write a code from 400 to 499\n" },
	{ "a reply that would seem to close the session",
		HOSTNAME
		"reply \"storage.full\" { code = 421 }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'code' of reply \"storage.full\": '421' cannot be: 421 says that the session is closed, and it is not\n" },
	{ "a reply that closes the session and does not say so",
		HOSTNAME
		"reply \"session.timeout\" { code = 451 }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'code' of reply \"session.timeout\": '451' cannot be: the session is closed after this reply, which 421 says\n" },
	{ "a reply whose codes disagree",
		HOSTNAME
		"reply \"relay.no-grant\" { enhanced = \"4.7.1\" }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'enhanced' of reply \"relay.no-grant\": '4.7.1' is of another class than the code; let both begin with the same digit\n" },
	{ "a reply with half an enhanced code",
		HOSTNAME
		"reply \"relay.no-grant\" { enhanced = \"5.7\" }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'enhanced' of reply \"relay.no-grant\": '5.7' is no enhanced code; write one as \"5.7.1\"\n" },
	{ "a reply with words for a code",
		HOSTNAME
		"reply \"relay.no-grant\" { code = \"no\" }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'code' of reply \"relay.no-grant\": 'no' is not a code; write for example 550\n" },
	{ "a reply with a code in its words",
		HOSTNAME
		"reply \"relay.no-grant\" { text = \"550 No\" }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'text' of reply \"relay.no-grant\": '550 No' begins with a code; write that as code = or enhanced = and leave it out of the text\n" },
	{ "an accented reply",
		HOSTNAME
		"reply \"relay.no-grant\" { text = \"Refusé\" }\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'text' of reply \"relay.no-grant\": 'Refusé' holds a byte that a reply may not (a line end, a control or an accented character); write printable ASCII\n" },
	{ "an unknown reply style",
		HOSTNAME
		"reply-style = \"postfix\"\n"
		CONNECTOR
		ROUTE
		GRANT,
		"relayd.conf:2: option 'reply-style': 'postfix' is unknown; write "
		"\"relayd\" or \"standard\" or \"exchange\"\n" },
	{ "an accepted domain that is none",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"accepted-domain \"@example.com\" { }\n",
		"relayd.conf:5: accepted-domain \"@example.com\" is not a domain; "
		"write for example accepted-domain \"example.com\", or "
		"\"*.example.com\" for those below it\n" },
	{ "an unknown type of domain",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"accepted-domain \"example.com\" { type = \"local\" }\n",
		"relayd.conf:5: option 'type' of accepted-domain \"example.com\": "
		"'local' is unknown; write \"authoritative\" or \"internal-relay\" or "
		"\"external-relay\"\n" },
	{ "a table without anything",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"table \"t\" {\n"
		"}\n",
		"relayd.conf:5: table \"t\" has no type; write for example type = "
		"\"network\"\n"
		"relayd.conf:5: table \"t\" has no file; write for example file = "
		"\"/etc/relayd/table.txt\"\n" },
	{ "a table of an unknown type",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"table \"t\" {\n"
		"    type = \"address\"\n"
		"    file = \"networks.txt\"\n"
		"}\n",
		"relayd.conf:6: option 'type' of table \"t\": 'address' is unknown; "
		"write \"network\" or \"sender\" or \"recipient\" or \"user\"\n" },
	{ "a table whose file does not exist",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"table \"t\" {\n"
		"    type = \"network\"\n"
		"    file = \"missing.txt\"\n"
		"}\n",
		"relayd.conf:7: option 'file' of table \"t\": 'missing.txt' cannot "
		"be read: No such file or directory\n" },
	{ "a table whose file is a directory",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"table \"t\" {\n"
		"    type = \"network\"\n"
		"    file = \"/\"\n"
		"}\n",
		"relayd.conf:7: option 'file' of table \"t\": '/' cannot be read: Is "
		"a directory\n" },
	{ "a table with bad networks",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"table \"t\" {\n"
		"    type = \"network\"\n"
		"    file = \"bad-networks.txt\"\n"
		"}\n",
		"bad-networks.txt:3: table \"t\": \"10.2.0.300\" is not a network;...\n"
		"bad-networks.txt:4: table \"t\": \"printer.example.com\" is not a "
		"network;...\n" },
	{ "a table with two entries on a line",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"table \"t\" {\n"
		"    type = \"sender\"\n"
		"    file = \"spaced.txt\"\n"
		"}\n",
		"spaced.txt:2: there is white space inside this entry; write one "
		"entry a line\n" },
	{ "a table with a bad sender",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"table \"t\" {\n"
		"    type = \"sender\"\n"
		"    file = \"bad-senders.txt\"\n"
		"}\n",
		"bad-senders.txt:2: table \"t\": \"@bad..example\" is not a sender;...\n" },
	{ "a table that is not UTF-8",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"table \"t\" {\n"
		"    type = \"sender\"\n"
		"    file = \"latin.txt\"\n"
		"}\n",
		"latin.txt:1: this line is not UTF-8 text, or has a control byte "
		"in it\n" },
	{ "no connector",
		HOSTNAME
		ROUTE
		GRANT,
		"relayd.conf: there is no connector, so nobody could connect; "
		"write connector \"NAME\" { bindings = { \"0.0.0.0:25\" } }\n" },
	{ "a connector without bindings",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" { }\n",
		"relayd.conf:4: connector \"apps\" has no bindings; write for "
		"example bindings = { \"0.0.0.0:25\", \"[::]:25\" }\n" },
	{ "a connector with an empty list of bindings",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { }\n"
		"}\n",
		"relayd.conf:5: option 'bindings' of connector \"apps\": the list is "
		"empty; write for example bindings = { \"0.0.0.0:25\", \"[::]:25\" }\n" },
	{ "bindings that are none",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"25\",\n"
		"        \"localhost:25\", \"0.0.0.0:0\",\n"
		"        \"::1:25\", \"0.0.0.0:70000\", \"[::]\" }\n"
		"}\n",
		"relayd.conf:5: option 'bindings' of connector \"apps\": '25' is not "
		"an address and a port; write for example \"0.0.0.0:25\" or "
		"\"[::]:25\"\n"
		"relayd.conf:6: option 'bindings' of connector \"apps\": "
		"'localhost:25' is not an address and a port; write for example "
		"\"0.0.0.0:25\" or \"[::]:25\"\n"
		"relayd.conf:6: option 'bindings' of connector \"apps\": '0.0.0.0:0' "
		"is not an address and a port; write for example \"0.0.0.0:25\" or "
		"\"[::]:25\"\n"
		"relayd.conf:7: option 'bindings' of connector \"apps\": '::1:25' is "
		"not an address and a port; write for example \"0.0.0.0:25\" or "
		"\"[::]:25\"\n"
		"relayd.conf:7: option 'bindings' of connector \"apps\": "
		"'0.0.0.0:70000' is not an address and a port; write for example "
		"\"0.0.0.0:25\" or \"[::]:25\"\n"
		"relayd.conf:7: option 'bindings' of connector \"apps\": '[::]' is "
		"not an address and a port; write for example \"0.0.0.0:25\" or "
		"\"[::]:25\"\n" },
	{ "a binding twice",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" { bindings = { \"0.0.0.0:25\", \"0.0.0.0:25\" } }\n",
		"relayd.conf:4: connector \"apps\" lists the binding \"0.0.0.0:25\" "
		"twice; remove one\n" },
	{ "ranges that are none",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    remote-ip-ranges = {\n"
		"        \"10.0.0.0/8\",   # right\n"
		"        \"10.0.0.300/8\",\n"
		"        \"10.0.0.9-10.0.0.1\",\n"
		"        \"10.0.0.0/33\", \"printer.example.com\"\n"
		"    }\n"
		"}\n",
		"relayd.conf:8: option 'remote-ip-ranges' of connector \"apps\": "
		"'10.0.0.300/8' is not an address, prefix or range; write for "
		"example \"10.0.0.0/8\", \"10.21.5.1-10.21.5.40\" or \"table:NAME\"\n"
		"relayd.conf:9: option 'remote-ip-ranges' of connector \"apps\": "
		"'10.0.0.9-10.0.0.1' is not an address, prefix or range; write for "
		"example \"10.0.0.0/8\", \"10.21.5.1-10.21.5.40\" or \"table:NAME\"\n"
		"relayd.conf:10: option 'remote-ip-ranges' of connector \"apps\": "
		"'10.0.0.0/33' is not an address, prefix or range; write for "
		"example \"10.0.0.0/8\", \"10.21.5.1-10.21.5.40\" or \"table:NAME\"\n"
		"relayd.conf:10: option 'remote-ip-ranges' of connector \"apps\": "
		"'printer.example.com' is not an address, prefix or range; write "
		"for example \"10.0.0.0/8\", \"10.21.5.1-10.21.5.40\" or \"table:NAME\"\n" },
	{ "an empty list of ranges",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    remote-ip-ranges = { }\n"
		"}\n",
		"relayd.conf:6: option 'remote-ip-ranges' of connector \"apps\": the "
		"list is empty; no client could connect; write for example { "
		"\"10.0.0.0/8\" }, or remove the option for any client\n" },
	{ "an unknown table",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    remote-ip-ranges = { \"table:printers\" }\n"
		"}\n",
		"relayd.conf:6: option 'remote-ip-ranges' of connector \"apps\": "
		"'table:printers' names a table that does not exist; add table "
		"\"NAME\" { type = ... file = ... }\n" },
	{ "an unknown table with a likely name",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"table \"printers\" { type = \"network\" file = \"networks.txt\" }\n"
		"connector \"b\" {\n"
		"    bindings = \"127.0.0.1:26\"\n"
		"    remote-ip-ranges = { \"table:printer\" }\n"
		"}\n",
		"relayd.conf:8: option 'remote-ip-ranges' of connector \"b\": "
		"'table:printer' names a table that does not exist; did you mean "
		"\"printers\"?\n" },
	{ "a table of another type",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"table \"s\" { type = \"sender\" file = \"senders.txt\" }\n"
		"connector \"b\" {\n"
		"    bindings = \"127.0.0.1:26\"\n"
		"    remote-ip-ranges = { \"table:s\" }\n"
		"}\n",
		"relayd.conf:8: option 'remote-ip-ranges' of connector \"b\": "
		"'table:s' holds senders, but networks belong here\n" },
	{ "unknown words",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    tls = \"maybe\"\n"
		"    mode = \"watch\"\n"
		"    bare-newlines = \"keep\"\n"
		"    hide-client = \"perhaps\"\n"
		"    auth-mechanisms = { \"NTLM\" }\n"
		"}\n",
		"relayd.conf:6: option 'tls' of connector \"apps\": 'maybe' is "
		"unknown; write \"none\" or \"offered\" "
		"or \"required\" or \"implicit\"\n"
		"relayd.conf:7: option 'mode' of connector \"apps\": 'watch' is "
		"unknown; write \"enforce\" or \"monitor\"\n"
		"relayd.conf:8: option 'bare-newlines' of connector \"apps\": 'keep' "
		"is unknown; write \"refuse\" or \"normalise\"\n"
		"relayd.conf:9: option 'hide-client' of connector \"apps\": "
		"'perhaps' is neither true nor false; write one of them\n"
		"relayd.conf:10: option 'auth-mechanisms' of connector \"apps\": "
		"'NTLM' is never offered, because it protects nobody; write for example "
		"\"PLAIN\", \"LOGIN\", \"SCRAM-SHA-256\"\n" },
	{ "mechanisms without a source of logins",
		HOSTNAME ROUTE GRANT
		AUTH_CONNECTOR("auth-mechanisms = { \"PLAIN\", \"LOGIN\" }"),
		"relayd.conf:4: option 'auth-mechanisms' of connector \"apps\": 'PLAIN' "
		"needs to know where logins come from; add for example sasl { users-file = "
		"\"/etc/relayd/users\" realm = \"example.com\" }\n" },
	{ "mechanisms that are never offered, unknown, or twice there",
		HOSTNAME ROUTE GRANT
		"sasl { }\n"
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    auth-mechanisms = { \"digest-md5\",\n"
		"        \"ANONYMOUS\",\n"
		"        \"XOAUTH2\",\n"
		"        \"plain\", \"PLAIN\" }\n"
		"}\n",
		"relayd.conf:7: option 'auth-mechanisms' of connector \"apps\": 'digest-md5' "
		"is never offered, because it protects nobody; write for example \"PLAIN\", "
		"\"LOGIN\", \"SCRAM-SHA-256\"\n"
		"relayd.conf:8: option 'auth-mechanisms' of connector \"apps\": 'ANONYMOUS' "
		"is never offered, because it protects nobody; write for example \"PLAIN\", "
		"\"LOGIN\", \"SCRAM-SHA-256\"\n"
		"relayd.conf:9: option 'auth-mechanisms' of connector \"apps\": 'XOAUTH2' "
		"is not a mechanism that relayd knows; write for example \"PLAIN\", "
		"\"LOGIN\", \"SCRAM-SHA-256\"\n"
		"relayd.conf:10: option 'auth-mechanisms' of connector \"apps\": 'PLAIN' "
		"stands twice; remove one\n" },
	{ "mechanisms that the users file cannot serve",
		HOSTNAME ROUTE GRANT
		"sasl { method = \"users-file\" }\n"
		AUTH_CONNECTOR("auth-mechanisms = { \"CRAM-MD5\", \"GSSAPI\" }"),
		"relayd.conf:5: option 'auth-mechanisms' of connector \"apps\": 'CRAM-MD5' "
		"needs passwords in clear text, which this source of logins does not have (see "
		"method in section sasl); remove it\n"
		"relayd.conf:5: option 'auth-mechanisms' of connector \"apps\": 'GSSAPI' needs "
		"a key of Kerberos; name its file with keytab in section sasl\n" },
	{ "SCRAM with saslauthd",
		HOSTNAME ROUTE GRANT
		"sasl { method = \"saslauthd\" }\n"
		AUTH_CONNECTOR("auth-mechanisms = { \"PLAIN\", \"SCRAM-SHA-256\" }"),
		"relayd.conf:5: option 'auth-mechanisms' of connector \"apps\": "
		"'SCRAM-SHA-256' cannot work with saslauthd, which is told passwords and knows "
		"none; write \"PLAIN\", \"LOGIN\"\n" },
	{ "SCRAM over clear text that nobody asked for",
		HOSTNAME ROUTE GRANT
		"sasl { method = \"sasldb\" }\n"
		AUTH_CONNECTOR("auth-mechanisms = { \"SCRAM-SHA-1\" }"),
		"relayd.conf:5: option 'auth-mechanisms' of connector \"apps\": 'SCRAM-SHA-1' "
		"makes keys from clear text with every try here, at 7 ms of CPU each; write "
		"scram-from-clear = true in section sasl if that is meant, or remove it\n" },
	{ "a source of logins with options of another",
		HOSTNAME ROUTE GRANT CONNECTOR
		"sasl {\n"
		"    method = \"saslauthd\"\n"
		"    users-file = \"/etc/relayd/users\"\n"
		"    options = { \"sql_engine: pgsql\" }\n"
		"    scram-from-clear = true\n"
		"}\n",
		"relayd.conf:7: option 'users-file' of sasl: '/etc/relayd/users' belongs to "
		"method = \"users-file\", but the method is \"saslauthd\"; change the method, "
		"or remove it\n"
		"relayd.conf:8: option 'options' of sasl: 'sql_engine: pgsql' belongs to method "
		"= \"auxprop\", but the method is \"saslauthd\"; change the method, or remove "
		"it\n"
		"relayd.conf:9: option 'scram-from-clear' of sasl: 'true' is about passwords in "
		"clear text, which method \"saslauthd\" does not know; remove it\n" },
	{ "a source of logins that is none",
		HOSTNAME ROUTE GRANT CONNECTOR
		"sasl {\n"
		"    method = \"ldap\"\n"
		"    realm = \"example com\"\n"
		"    users-file = \"users\"\n"
		"}\n",
		"relayd.conf:6: option 'method' of sasl: 'ldap' is unknown; write "
		"\"users-file\", \"sasldb\", \"saslauthd\" or \"auxprop\"\n"
		"relayd.conf:7: option 'realm' of sasl: 'example com' is not a domain; write "
		"for example \"example.com\"\n"
		"relayd.conf:8: option 'users-file' of sasl: 'users' is not an absolute path; "
		"write one that begins with \"/\"\n" },
	{ "a plug-in without a name, and one that is unknown",
		HOSTNAME ROUTE GRANT CONNECTOR
		"sasl { method = \"auxprop\" options = { \"sql_engine\" } }\n",
		"relayd.conf:5: option 'options' of sasl: 'sql_engine' is not an option of "
		"Cyrus SASL's; write for example \"sql_engine: pgsql\"\n"
		"relayd.conf:5: sasl has no plugin; write for example plugin = \"sql\"\n" },
	{ "a folder in place of saslauthd's socket",
		HOSTNAME ROUTE GRANT CONNECTOR
		"sasl { method = \"saslauthd\" saslauthd-path = \"/tmp\" }\n",
		"relayd.conf:5: option 'saslauthd-path' of sasl: '/tmp' is a directory; write "
		"the name of the socket in it, \"/tmp/mux\"\n" },
	{ "bans that cannot be",
		HOSTNAME ROUTE GRANT CONNECTOR
		"auth-ban {\n"
		"    failures = 40000\n"
		"    window = \"10\"\n"
		"    duration = \"1ms\"\n"
		"    exempt = { \"table:printers\" }\n"
		"}\n",
		"relayd.conf:6: option 'failures' of auth-ban: '40000' is out of range; write 1 "
		"to 30000 or \"unlimited\"\n"
		"relayd.conf:7: option 'window' of auth-ban: '10' has no unit; write \"10s\" for "
		"seconds, or one of ms, s, m, h, d\n"
		"relayd.conf:8: option 'duration' of auth-ban: '1ms' is out of range; write "
		"\"1s\" to \"30d\"\n"
		"relayd.conf:9: option 'exempt' of auth-ban: 'table:printers' is not an address, "
		"prefix or range; write for example \"10.20.0.0/16\"\n" },
	{ "users where nobody can log in",
		HOSTNAME ROUTE CONNECTOR
		"sasl { }\n"
		"grant \"people\" { users = { \"billing\" } senders = { \"@example.com\" } "
		"recipients = { \"*\" } }\n",
		"relayd.conf:5: option 'users' of grant \"people\": 'billing' could never log "
		"in: no connector offers AUTH; write for example auth-mechanisms = { \"PLAIN\", "
		"\"LOGIN\", \"SCRAM-SHA-256\" } in a connector\n" },
	{ "passwords in clear where nobody logs in",
		HOSTNAME ROUTE GRANT
		AUTH_CONNECTOR("auth-without-tls = true"),
		"relayd.conf:4: option 'auth-without-tls' of connector \"apps\": 'true' says "
		"how clients may log in, but the connector has no auth-mechanisms; write for "
		"example auth-mechanisms = { \"PLAIN\", \"LOGIN\", \"SCRAM-SHA-256\" }, or "
		"remove it\n" },
	{ "an end of monitor mode without it",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    monitor-until = \"2026-12-31\"\n"
		"}\n",
		"relayd.conf:6: option 'monitor-until' of connector \"apps\": "
		"'2026-12-31' has no effect without monitor mode; write mode = "
		"\"monitor\", or remove it\n" },
	{ "dates that are none",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    mode = \"monitor\"\n"
		"    remote-ip-ranges = \"10.0.0.0/8\"\n"
		"    monitor-until = \"31.12.2026\"\n"
		"}\n",
		"relayd.conf:8: option 'monitor-until' of connector \"apps\": "
		"'31.12.2026' is not a date; write for example \"2026-12-31\" or "
		"\"2026-12-31T18:00\" (UTC)\n" },
	{ "sizes that are none",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    max-message-size = \"36 MB\"\n"
		"    max-header-size = \"lots\"\n"
		"}\n",
		"relayd.conf:6: option 'max-message-size' of connector \"apps\": '36 "
		"MB' is not a size; write for example \"36MB\", \"100KB\" or a number "
		"of octets\n"
		"relayd.conf:7: option 'max-header-size' of connector \"apps\": "
		"'lots' is not a size; write for example \"36MB\", \"100KB\" or a "
		"number of octets\n" },
	{ "sizes out of range",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    max-message-size = \"100GB\"\n"
		"    max-header-size = 0\n"
		"}\n",
		"relayd.conf:6: option 'max-message-size' of connector \"apps\": "
		"'100GB' is out of range; write \"1KB\" to \"2047MB\"\n"
		"relayd.conf:7: option 'max-header-size' of connector \"apps\": '0' "
		"is out of range; write \"1KB\" to \"16MB\"\n" },
	{ "numbers that are none",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    max-recipients-per-message = \"many\"\n"
		"    max-connections = 1.5\n"
		"    max-hop-count = 0x10\n"
		"}\n",
		"relayd.conf:6: option 'max-recipients-per-message' of connector "
		"\"apps\": 'many' is not a number; write for example 200\n"
		"relayd.conf:7: option 'max-connections' of connector \"apps\": "
		"'1.5' is not a number; write for example 5000 or \"unlimited\"\n"
		"relayd.conf:8: option 'max-hop-count' of connector \"apps\": '0x10' "
		"is not a number; write for example 60\n" },
	{ "numbers out of range",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    max-recipients-per-message = 0\n"
		"    max-hop-count = 501\n"
		"    max-connections = 99999999999999999999\n"
		"    max-protocol-errors = -1\n"
		"}\n",
		"relayd.conf:6: option 'max-recipients-per-message' of connector "
		"\"apps\": '0' is out of range; write 1 to 5000\n"
		"relayd.conf:7: option 'max-hop-count' of connector \"apps\": '501' "
		"is out of range; write 1 to 500\n"
		"relayd.conf:8: option 'max-connections' of connector \"apps\": "
		"'99999999999999999999' is out of range; write 1 to 1000000 or "
		"\"unlimited\"\n"
		"relayd.conf:9: option 'max-protocol-errors' of connector \"apps\": "
		"'-1' is not a number; write for example 5 or \"unlimited\"\n" },
	{ "durations that are none",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    tarpit-interval = \"5 seconds\"\n"
		"    inactivity-timeout = 300\n"
		"    connection-timeout = \"10min\"\n"
		"}\n",
		"relayd.conf:6: option 'tarpit-interval' of connector \"apps\": '5 "
		"seconds' is not a duration; write for example \"5s\", \"10m\", \"1h\" "
		"or \"5d\"\n"
		"relayd.conf:7: option 'inactivity-timeout' of connector \"apps\": "
		"'300' has no unit; write \"300s\" for seconds, or one of ms, s, m, "
		"h, d\n"
		"relayd.conf:8: option 'connection-timeout' of connector \"apps\": "
		"'10min' is not a duration; write for example \"5s\", \"10m\", \"1h\" or "
		"\"5d\"\n" },
	{ "durations out of range",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    tarpit-interval = \"1h\"\n"
		"    inactivity-timeout = \"0s\"\n"
		"    connection-timeout = \"2d\"\n"
		"}\n",
		"relayd.conf:6: option 'tarpit-interval' of connector \"apps\": '1h' "
		"is out of range; write \"0s\" to \"10m\"\n"
		"relayd.conf:7: option 'inactivity-timeout' of connector \"apps\": "
		"'0s' is out of range; write \"1ms\" to \"1d\"\n"
		"relayd.conf:8: option 'connection-timeout' of connector \"apps\": "
		"'2d' is out of range; write \"1ms\" to \"1d\"\n" },
	{ "a session that ends before it is inactive",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    connection-timeout = \"4m\"\n"
		"}\n",
		"relayd.conf:6: option 'connection-timeout' of connector \"apps\": "
		"'4m' cannot be: inactivity-timeout (5m) would never be reached "
		"before connection-timeout (4m); write a shorter "
		"inactivity-timeout, or a longer connection-timeout\n" },
	{ "inactivity longer than the session",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"127.0.0.1:2525\" }\n"
		"    inactivity-timeout = \"20m\"\n"
		"    connection-timeout = \"15m\"\n"
		"}\n",
		"relayd.conf:6: option 'inactivity-timeout' of connector \"apps\": "
		"'20m' cannot be: inactivity-timeout (20m) would never be reached "
		"before connection-timeout (15m); write a shorter "
		"inactivity-timeout, or a longer connection-timeout\n" },
	{ "a monitoring connector for every network",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"0.0.0.0:25\" }\n"
		"    mode = \"monitor\"\n"
		"}\n",
		"relayd.conf:4: connector \"apps\" would be an open relay: in "
		"monitor mode everything is accepted, and it takes clients of any "
		"network; write for example remote-ip-ranges = { \"10.0.0.0/8\" }\n" },
	{ "a monitoring connector for all of IPv4 in parts",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" {\n"
		"    bindings = { \"0.0.0.0:25\" }\n"
		"    remote-ip-ranges = { \"0.0.0.0/1\", \"128.0.0.0-255.255.255.255\" "
		"}\n"
		"    mode = \"monitor\"\n"
		"}\n",
		"relayd.conf:4: connector \"apps\" would be an open relay: in "
		"monitor mode everything is accepted, and it takes clients of any "
		"network; write for example remote-ip-ranges = { \"10.0.0.0/8\" }\n" },
	{ "a range of two connectors",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"a\" { bindings = \"0.0.0.0:25\" remote-ip-ranges = "
		"\"10.0.0.0/8\" }\n"
		"\n"
		"connector \"b\" { bindings = \"0.0.0.0:25\" remote-ip-ranges = "
		"\"10.0.0.0/8\" }\n",
		"relayd.conf:6: connector \"b\": option 'remote-ip-ranges': "
		"10.0.0.0/8 is also a range...\n" },
	{ "a grant without anything",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"grant \"empty\" { }\n",
		"relayd.conf:5: grant \"empty\" has no senders; write for example "
		"senders = { \"@example.com\" }\n"
		"relayd.conf:5: grant \"empty\" has no recipients; write for example "
		"recipients = { \"*\" }, or { \"accepted-domains\" }\n" },
	{ "a grant with empty lists",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"grant \"empty\" {\n"
		"    networks = { }\n"
		"    senders = { }\n"
		"    recipients = { }\n"
		"    connectors = { }\n"
		"}\n",
		"relayd.conf:6: option 'networks' of grant \"empty\": the list is "
		"empty; it would hold for everybody; write what belongs there, or "
		"remove the option\n"
		"relayd.conf:7: option 'senders' of grant \"empty\": the list is "
		"empty; write for example senders = { \"@example.com\" }\n"
		"relayd.conf:8: option 'recipients' of grant \"empty\": the list is "
		"empty; write for example recipients = { \"*\" }, or { "
		"\"accepted-domains\" }\n"
		"relayd.conf:9: option 'connectors' of grant \"empty\": the list is "
		"empty; it would hold for everybody; write what belongs there, or "
		"remove the option\n" },
	{ "networks that are none",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"# comment {\n"
		"\n"
		"grant \"billing\" {\n"
		"    # lists may go over lines\n"
		"    networks = {\n"
		"        \"10.1.0.0/16\",\n"
		"        \"10.0.0.300/8\"\n"
		"    }\n"
		"    senders = \"@example.com\" recipients = \"*\"\n"
		"}\n",
		"relayd.conf:11: option 'networks' of grant \"billing\": "
		"'10.0.0.300/8' is not an address, prefix or range; write for "
		"example \"10.0.0.0/8\", \"10.21.5.1-10.21.5.40\" or \"table:NAME\"\n" },
	{ "senders that are none",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"grant \"b\" {\n"
		"    networks = \"10.0.0.0/8\"\n"
		"    senders = { \"example.com\",\n"
		"        \"@\", \"*@example.com\", \"@*\", \"\", \"a b@example.com\" }\n"
		"    recipients = \"*\"\n"
		"}\n",
		"relayd.conf:7: option 'senders' of grant \"b\": 'example.com' is "
		"not a sender pattern; write \"@example.com\" for all addresses of "
		"this domain\n"
		"relayd.conf:8: option 'senders' of grant \"b\": '@' is not a sender "
		"pattern; write an address, \"@example.com\", \"@*.example.com\" for "
		"all domains below it, or \"*\"\n"
		"relayd.conf:8: option 'senders' of grant \"b\": '*@example.com' is "
		"not a sender pattern; write \"@example.com\" for all addresses of "
		"this domain\n"
		"relayd.conf:8: option 'senders' of grant \"b\": '@*' is not a "
		"sender pattern; write an address, \"@example.com\", "
		"\"@*.example.com\" for all domains below it, or \"*\"\n"
		"relayd.conf:8: option 'senders' of grant \"b\": '' is not a sender "
		"pattern; write an address, \"@example.com\", \"@*.example.com\" for "
		"all domains below it, or \"*\"\n"
		"relayd.conf:8: option 'senders' of grant \"b\": 'a b@example.com' "
		"is not a sender pattern; write an address, \"@example.com\", "
		"\"@*.example.com\" for all domains below it, or \"*\"\n" },
	{ "recipients that are none",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"grant \"b\" {\n"
		"    networks = \"10.0.0.0/8\"\n"
		"    senders = \"*\"\n"
		"    recipients = { \"<>\", \"all\", \"@-x.example\" }\n"
		"}\n",
		"relayd.conf:8: option 'recipients' of grant \"b\": '<>' is the "
		"empty sender and cannot be a recipient; remove it\n"
		"relayd.conf:8: option 'recipients' of grant \"b\": 'all' is not a "
		"recipient pattern; write an address, \"@example.com\", "
		"\"@*.example.com\" for all domains below it, or \"*\"\n"
		"relayd.conf:8: option 'recipients' of grant \"b\": '@-x.example' is "
		"not a recipient pattern; write an address, \"@example.com\", "
		"\"@*.example.com\" for all domains below it, or \"*\"\n" },
	{ "exceptions that are none",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    except-networks = { \"10.0.0\" }\n"
		"    except-senders = { \"root\" }\n"
		"    except-recipients = { \"x\" }\n"
		"}\n",
		"relayd.conf:8: option 'except-networks' of grant \"billing\": "
		"'10.0.0' is not an address, prefix or range; write for example "
		"\"10.0.0.0/8\", \"10.21.5.1-10.21.5.40\" or \"table:NAME\"\n"
		"relayd.conf:9: option 'except-senders' of grant \"billing\": 'root' "
		"is not a sender pattern; write an address, \"@example.com\", "
		"\"@*.example.com\" for all domains below it, or \"*\"\n"
		"relayd.conf:10: option 'except-recipients' of grant \"billing\": "
		"'x' is not a recipient pattern; write an address, \"@example.com\", "
		"\"@*.example.com\" for all domains below it, or \"*\"\n" },
	{ "accepted domains where there are none",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"b\" {\n"
		"    networks = \"10.0.0.0/8\"\n"
		"    senders = \"*\"\n"
		"    recipients = \"accepted-domains\"\n"
		"}\n",
		"relayd.conf:7: option 'recipients' of grant \"b\": "
		"'accepted-domains' stands for the accepted domains, but there are "
		"none; add accepted-domain \"example.com\" { }\n" },
	{ "an unknown connector",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    connectors = { \"aps\", \"internal\" }\n"
		"}\n",
		"relayd.conf:8: option 'connectors' of grant \"billing\": 'aps' is "
		"not the name of a connector; did you mean \"apps\"?\n"
		"relayd.conf:8: option 'connectors' of grant \"billing\": 'internal' "
		"is not the name of a connector\n" },
	{ "cut-through into a maildir, and a wait for nothing",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"drop\" {\n"
		"    recipients = \"@example.com\"\n"
		"    maildir = \"/var/mail/drop\"\n"
		"    cut-through = true\n"
		"}\n"
		"route \"next\" {\n"
		"    recipients = \"@example.org\"\n"
		"    next-hops = \"192.0.2.1\"\n"
		"    cut-through-wait = \"20s\"\n"
		"}\n",
		"relayd.conf:5: route \"drop\" has cut-through = true and a maildir, "
		"which no client needs to wait for; remove cut-through\n"
		"relayd.conf:10: route \"next\" has a cut-through-wait but no "
		"cut-through = true; add that, or remove cut-through-wait\n" },
	{ "a wait of cut-through that is too long",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"next\" {\n"
		"    recipients = \"@example.org\"\n"
		"    next-hops = \"192.0.2.1\"\n"
		"    cut-through = \"maybe\"\n"
		"    cut-through-wait = \"1h\"\n"
		"}\n",
		"relayd.conf:8: option 'cut-through' of route \"next\": 'maybe' is "
		"neither true nor false; write one of them\n"
		"relayd.conf:9: option 'cut-through-wait' of route \"next\": '1h' is "
		"out of range; write \"1s\" to \"5m\"\n" },
	{ "an unknown route",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    route = \"otu\"\n"
		"}\n",
		"relayd.conf:8: option 'route' of grant \"billing\": 'otu' is not "
		"the name of a route; did you mean \"out\"?\n" },
	{ "an unknown route that is like nothing",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    route = \"microsoft365\"\n"
		"}\n",
		"relayd.conf:8: option 'route' of grant \"billing\": 'microsoft365' "
		"is not the name of a route\n" },
	{ "dates in the wrong order",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    starts = \"2027-01-01\"\n"
		"    expires = \"2026-12-31\"\n"
		"}\n",
		"relayd.conf:9: option 'expires' of grant \"billing\": '2026-12-31' "
		"is not after 'starts', so the grant would never be valid; write a "
		"later date\n" },
	{ "dates of a grant that are none",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    starts = \"now\"\n"
		"    expires = \"2027-02-30\"\n"
		"}\n",
		"relayd.conf:8: option 'starts' of grant \"billing\": 'now' is not a "
		"date; write for example \"2026-12-31\" or \"2026-12-31T18:00\" (UTC)\n"
		"relayd.conf:9: option 'expires' of grant \"billing\": '2027-02-30' "
		"is not a date; write for example \"2026-12-31\" or "
		"\"2026-12-31T18:00\" (UTC)\n" },
	{ "an unknown treatment of routed local parts",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    routed-local-parts = \"deny\"\n"
		"}\n",
		"relayd.conf:8: option 'routed-local-parts' of grant \"billing\": 'deny' is "
		"unknown; write \"refuse\" or \"allow\"\n" },
	{ "an unknown demand of the header",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    header-from = \"mine\"\n"
		"}\n",
		"relayd.conf:8: option 'header-from' of grant \"billing\": 'mine' is "
		"unknown; write \"any\" or \"same-domain\" or \"authorized\"\n" },
	{ "an empty owner",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"billing\" {\n"
		"    networks = { \"10.0.0.0/8\" }\n"
		"    senders = { \"@example.com\" }\n"
		"    recipients = { \"*\" }\n"
		"    owner = \"\"\n"
		"}\n",
		"relayd.conf:8: option 'owner' of grant \"billing\": '' is empty; "
		"write something, or remove the option\n" },
	{ "an open relay",
		HOSTNAME
		CONNECTOR
		ROUTE
		"# all of it\n"
		"grant \"b\" {\n"
		"    senders = \"*\"\n"
		"    recipients = \"*\"\n"
		"}\n",
		"relayd.conf:5: grant \"b\": this is an open relay...\n" },
	{ "an open relay that is written in parts",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"b\" {\n"
		"    networks = { \"0.0.0.0/0\", \"::/0\" }\n"
		"    senders = \"@example.com\"\n"
		"    recipients = { \"@example.net\", \"*\" }\n"
		"}\n",
		"relayd.conf:4: grant \"b\": this is an open relay...\n" },
	{ "an open relay with the wrong words",
		HOSTNAME
		CONNECTOR
		ROUTE
		"grant \"b\" {\n"
		"    senders = \"*\"\n"
		"    recipients = \"*\"\n"
		"    open-relay = true\n"
		"}\n",
		"relayd.conf:7: option 'open-relay' of grant \"b\": 'true' is not "
		"what it takes; write open-relay = \"I know\" if anybody shall send "
		"to anybody, or remove it\n" },
	{ "a monitoring grant for every network",
		HOSTNAME
		"connector \"apps\" { bindings = { \"0.0.0.0:2525\" } }\n"
		ROUTE
		"grant \"b\" {\n"
		"    mode = \"monitor\"\n"
		"    senders = \"@example.com\"\n"
		"    recipients = \"@example.net\"\n"
		"}\n",
		"relayd.conf:4: grant \"b\" would be an open relay: in monitor mode "
		"it accepts any sender and recipient, and it holds for any network "
		"on connector \"apps\"; write for example networks = { \"10.0.0.0/8\" "
		"}\n" },
	{ "a route to nowhere",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"other\" {\n"
		"    recipients = \"*\"\n"
		"}\n",
		"relayd.conf:5: route \"other\" has no next-hops; write for example "
		"next-hops = { \"smtp.example.com:25\" }\n" },
	{ "a route to two ends",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"other\" {\n"
		"    recipients = \"*\"\n"
		"    next-hops = \"192.0.2.1\"\n"
		"    maildir = \"/var/mail/drop\"\n"
		"}\n",
		"relayd.conf:5: route \"other\" has both next-hops and a maildir; "
		"remove one of them\n" },
	{ "next hops that are none",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"other\" {\n"
		"    recipients = \"@example.com\"\n"
		"    next-hops = { \"smtp.example.com:0\",\n"
		"        \"192.0.2.300\", \"[::1:25\", \"a b\", \":25\", \"-x.example:25\",\n"
		"        \"https://example.com\", \"192.0.2.1:smtp\" }\n"
		"}\n",
		"relayd.conf:7: option 'next-hops' of route \"other\": "
		"'smtp.example.com:0' is not a next hop; write for example "
		"\"smtp.example.com:587\", \"192.0.2.1:25\" or \"[2001:db8::1]:25\"\n"
		"relayd.conf:8: option 'next-hops' of route \"other\": '192.0.2.300' "
		"is not a next hop; write for example \"smtp.example.com:587\", "
		"\"192.0.2.1:25\" or \"[2001:db8::1]:25\"\n"
		"relayd.conf:8: option 'next-hops' of route \"other\": '[::1:25' is "
		"not a next hop; write for example \"smtp.example.com:587\", "
		"\"192.0.2.1:25\" or \"[2001:db8::1]:25\"\n"
		"relayd.conf:8: option 'next-hops' of route \"other\": 'a b' is not "
		"a next hop; write for example \"smtp.example.com:587\", "
		"\"192.0.2.1:25\" or \"[2001:db8::1]:25\"\n"
		"relayd.conf:8: option 'next-hops' of route \"other\": ':25' is not "
		"a next hop; write for example \"smtp.example.com:587\", "
		"\"192.0.2.1:25\" or \"[2001:db8::1]:25\"\n"
		"relayd.conf:8: option 'next-hops' of route \"other\": "
		"'-x.example:25' is not a next hop; write for example "
		"\"smtp.example.com:587\", \"192.0.2.1:25\" or \"[2001:db8::1]:25\"\n"
		"relayd.conf:9: option 'next-hops' of route \"other\": "
		"'https://example.com' is not a next hop; write for example "
		"\"smtp.example.com:587\", \"192.0.2.1:25\" or \"[2001:db8::1]:25\"\n"
		"relayd.conf:9: option 'next-hops' of route \"other\": "
		"'192.0.2.1:smtp' is not a next hop; write for example "
		"\"smtp.example.com:587\", \"192.0.2.1:25\" or \"[2001:db8::1]:25\"\n" },
	{ "empty lists of a route",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"other\" {\n"
		"    recipients = { }\n"
		"    next-hops = { }\n"
		"}\n",
		"relayd.conf:6: option 'recipients' of route \"other\": the list is "
		"empty; no message would ever take this route; write { \"*\" } or "
		"the domains that it serves, or remove the option and name the "
		"route in a grant\n"
		"relayd.conf:7: option 'next-hops' of route \"other\": the list is "
		"empty; name at least one server\n" },
	{ "a next hop that is relayd itself",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"other\" {\n"
		"    recipients = \"@example.com\"\n"
		"    next-hops = { \"127.0.0.1:2525\" }\n"
		"}\n",
		"relayd.conf:7: option 'next-hops' of route \"other\": "
		"'127.0.0.1:2525' is where relayd itself listens, so mail would go "
		"round in circles; name another server\n" },
	{ "a next hop that is relayd itself on any address",
		HOSTNAME
		ROUTE
		GRANT
		"connector \"apps\" { bindings = \"0.0.0.0:25\" }\n"
		"route \"other\" { recipients = \"@example.com\" next-hops = "
		"\"localhost\" }\n"
		"route \"third\" {\n"
		"    recipients = \"@example.net\"\n"
		"    next-hops = \"127.0.0.1\"\n"
		"}\n",
		"relayd.conf:8: option 'next-hops' of route \"third\": '127.0.0.1' "
		"is where relayd itself listens, so mail would go round in "
		"circles; name another server\n" },
	{ "numbers of a route out of range",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"other\" {\n"
		"    recipients = \"*\"\n"
		"    next-hops = \"192.0.2.1\"\n"
		"    connections = 0\n"
		"    messages-per-minute = \"-3\"\n"
		"}\n",
		"relayd.conf:8: option 'connections' of route \"other\": '0' is out "
		"of range; write 1 to 1000\n"
		"relayd.conf:9: option 'messages-per-minute' of route \"other\": "
		"'-3' is not a number; write for example 4 or \"unlimited\"\n" },
	{ "a relative maildir",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"other\" {\n"
		"    recipients = \"*\"\n"
		"    maildir = \"drop\"\n"
		"}\n",
		"relayd.conf:7: option 'maildir' of route \"other\": 'drop' is not "
		"an absolute path; write one that begins with \"/\"\n" },
	{ "a route for patterns that are none",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"route \"other\" {\n"
		"    recipients = { \"example.com\" }\n"
		"    next-hops = \"192.0.2.1\"\n"
		"}\n",
		"relayd.conf:6: option 'recipients' of route \"other\": "
		"'example.com' is not a recipient pattern; write \"@example.com\" "
		"for all addresses of this domain\n" },
	{ "a grant whose recipients have no route",
		HOSTNAME
		CONNECTOR
		"route \"out\" { recipients = { \"@example.com\", \"@*.example.net\" } "
		"next-hops = \"192.0.2.1\" }\n"
		"grant \"a\" {\n"
		"    networks = \"10.0.0.0/8\"\n"
		"    senders = \"*\"\n"
		"    recipients = { \"@example.com\", \"boss@a.example.net\", "
		"\"@example.net\" }\n"
		"}\n",
		"relayd.conf:4: grant \"a\" allows recipients \"@example.net\", but no "
		"route takes them; write route = \"NAME\" here, or recipients = { "
		"\"@example.net\" } in a route\n" },
	{ "a grant for everybody without a route for everybody",
		HOSTNAME
		CONNECTOR
		"route \"out\" { recipients = \"@example.com\" next-hops = \"192.0.2.1\" "
		"}\n"
		GRANT,
		"relayd.conf:4: grant \"app\" allows recipients \"*\", but no route "
		"takes them; write route = \"NAME\" here, or recipients = { \"*\" } in "
		"a route\n" },
	{ "a grant without any route",
		HOSTNAME
		CONNECTOR
		GRANT,
		"relayd.conf:3: grant \"app\" allows recipients \"*\", but no route "
		"takes them; write route = \"NAME\" here, or recipients = { \"*\" } in "
		"a route\n" },
	{ "a monitoring grant without a route for everybody",
		HOSTNAME
		CONNECTOR
		"route \"out\" { recipients = \"@example.com\" next-hops = \"192.0.2.1\" "
		"}\n"
		"grant \"app\" { networks = \"10.0.0.0/8\" senders = \"@example.com\" "
		"recipients = \"@example.com\" mode = \"monitor\" }\n",
		"relayd.conf:4: grant \"app\" is in monitor mode, which accepts mail "
		"for any recipient, but no route takes all of it; write route = "
		"\"NAME\" here, or recipients = { \"*\" } in a route\n" },
	{ "a monitoring connector without a route",
		HOSTNAME
		"connector \"apps\" {\n"
		"    bindings = \"0.0.0.0:25\"\n"
		"    remote-ip-ranges = \"10.0.0.0/8\"\n"
		"    mode = \"monitor\"\n"
		"}\n",
		"relayd.conf:2: connector \"apps\" is in monitor mode, which accepts "
		"mail for any recipient, but no route takes all of it; write "
		"recipients = { \"*\" } in a route\n" },
	{ "times of the queue that are none",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"queue {\n"
		"    retry = { \"1m\", \"soon\",\n"
		"        \"0s\" }\n"
		"    expires = \"1000d\"\n"
		"}\n",
		"relayd.conf:6: option 'retry' of queue: 'soon' is not a duration; "
		"write for example \"5s\", \"10m\", \"1h\" or \"5d\"\n"
		"relayd.conf:7: option 'retry' of queue: '0s' is out of range; "
		"write \"10ms\" to \"400d\"\n"
		"relayd.conf:8: option 'expires' of queue: '1000d' is out of "
		"range; write \"1s\" to \"400d\"\n" },
	{ "an empty list of retries",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"queue { retry = { } }\n",
		"relayd.conf:5: option 'retry' of queue: the list is empty; write "
		"for example retry = { \"1m\", \"5m\", \"15m\", \"30m\", \"1h\" }\n" },
	{ "settings of dns that are none",
		HOSTNAME
		CONNECTOR
		ROUTE
		GRANT
		"dns {\n"
		"    forwarders = { \"ns.example.com\", \"127.0.0.1@0\", "
		"\"127.0.0.1:53\" }\n"
		"    trust-anchor-file = \"/nonexistent/root.key\"\n"
		"    hosts-file = 2\n"
		"}\n",
		"relayd.conf:6: option 'forwarders' of dns: 'ns.example.com' is "
		"not the address of a name server; write for example \"192.0.2.53\" "
		"or \"127.0.0.1@5399\"\n"
		"relayd.conf:6: option 'forwarders' of dns: '127.0.0.1@0' is not "
		"the address of a name server; write for example \"192.0.2.53\" or "
		"\"127.0.0.1@5399\"\n"
		"relayd.conf:6: option 'forwarders' of dns: '127.0.0.1:53' is not "
		"the address of a name server; write for example \"192.0.2.53\" or "
		"\"127.0.0.1@5399\"\n"
		"relayd.conf:7: option 'trust-anchor-file' of dns: "
		"'/nonexistent/root.key' cannot be read; name a file such as "
		"\"/usr/share/dns/root.key\", or remove the option\n"
		"relayd.conf:8: option 'hosts-file' of dns: '2' is neither true "
		"nor false; write one of them\n" },
	{ "mistakes in several places",
		"hostname = \"a..b\"\n"
		CONNECTOR
		"grant \"b\" {\n"
		"    recipients = \"*\"\n"
		"}\n"
		"route \"out\" { recipients = \"*\" next-hops = \"::x\" }\n"
		"colour = 1\n",
		"relayd.conf:1: option 'hostname': 'a..b' is not a host name; "
		"write for example \"relay.example.com\"\n"
		"relayd.conf:3: grant \"b\" has no senders; write for example "
		"senders = { \"@example.com\" }\n"
		"relayd.conf:6: option 'next-hops' of route \"out\": '::x' is not a "
		"next hop; write for example \"smtp.example.com:587\", "
		"\"192.0.2.1:25\" or \"[2001:db8::1]:25\"\n"
		"relayd.conf:7: unknown option 'colour'; relayd.conf(5) tells "
		"which there are\n" },
};
/* clang-format on */
