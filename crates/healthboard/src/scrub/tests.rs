use super::*;
use proptest::prelude::*;

/// No part of the canary may be left.
fn assert_hidden(text: &str) {
    for canary in ["CANARY", "c4n4ry", "canary"] {
        let text = text.replace("CANARY", canary);
        let clean = scrub(&text, LONGEST);
        assert!(!clean.to_lowercase().contains(&canary.to_lowercase()), "{text:?} became {clean:?}");
    }
}

#[test]
fn a_secret_in_any_shape_is_hidden() {
    for text in [
        // URLs
        "rabbit://nova:CANARY@mq:5672//",
        "rabbit://nova:p#CANARY@mq:5672//",
        "rabbit://nova:p/CANARY@mq:5672//",
        "rabbit://nova:p?CANARY@mq:5672//",
        "rabbit://nova:p@CANARY@mq:5672//",
        "rabbit://nova:p CANARY@mq:5672//",
        "rabbit://nova:1 CANARY@mq:5672//",
        "rabbit://nova:p\"CANARY'x@mq:5672//",
        "rabbit://a:x@mq1:5672,b:CANARY@mq2:5672//nova",
        "mysql+pymysql://nova:CANARY@[fd00::1]:3306/nova?charset=utf8",
        "cannot parse 'mysql://nova:CANARY'",
        "https://CANARY@git.example/x",
        "redis://:CANARY@cache:6379/0",
        "GET http://10.0.0.1:8774/v2.1/servers?token=CANARY&x=1 HTTP/1.1",
        "https://host/path#access_token=CANARY",
        "nova:CANARY@10.0.0.1:5672 is unreachable",
        "root:CANARY@tcp(127.0.0.1:3306)/nova",
        "ORA-01017: scott/CANARY@db",
        // headers
        "Authorization: Basic CANARY",
        "authorization: Bearer CANARY",
        "Bearer CANARY is not valid",
        "X-Auth-Token: CANARY",
        "x-subject-token : CANARY\r\nHost: x",
        "Cookie: a=b; session=CANARY",
        "Set-Cookie: a=b;\r\n session=CANARY",
        "{'X-Auth-Token': b'CANARY', 'Accept': '*/*'}",
        "[(b'Authorization', b'Basic CANARY'), (b'Host', b'x')]",
        "[('name', 'X-Auth-Token'), ('value', 'CANARY')]",
        r"b'GET / HTTP/1.1\r\nX-Auth-Token: CANARY\r\n\r\n'",
        "curl -H 'X-Auth-Token: CANARY' http://10.0.0.1",
        // keys and values
        "password: CANARY",
        "password=CANARY",
        "password = CANARY with blanks",
        "PASSWORD:CANARY",
        "password:\n  CANARY",
        "password='x CANARY y'",
        "password=\"x\\\" CANARY\"",
        "password='x'CANARY'",
        "password='it''s CANARY'",
        "password='''x 'CANARY' '''",
        "password := CANARY",
        "'password' => 'CANARY'",
        "password for user nova: CANARY",
        "the password is CANARY1",
        "wrong password 'CANARY'",
        "password[0]=CANARY",
        "token Canary-CANARY-7 has expired",
        "admin_pass=CANARY",
        "adminPass: CANARY",
        "OS_PASSWORD=CANARY",
        "PGPASSWORD=CANARY psql",
        "aws_secret_access_key = CANARY",
        "api-key: CANARY",
        "metadata_proxy_shared_secret=CANARY",
        "[database] connection=x auth_key=CANARY",
        "host=db password=CANARY dbname=nova",
        "Server=db;Uid=nova;Pwd=CANARY;",
        "password%3DCANARY",
        "&quot;password&quot;: &quot;CANARY&quot;",
        "pass\0word=CANARY",
        "pass\u{200b}word=CANARY",
        "\u{1b}[1mpassword\u{1b}[0m=CANARY",
        // nested notations
        r#"{"auth": {"identity": {"password": {"user": {"password": "CANARY"}}}}}"#,
        r#"{"password": "CANARY"}"#,
        r#"{"password":"CANARY","user":"nova"}"#,
        r#"{\"password\": \"CANARY\", \"x\": 1}"#,
        r#""{\\\"password\\\": \\\"CANARY\\\"}""#,
        "{\"passwords\": [\n  \"a\",\n  \"CANARY\"\n]}",
        "{'password': 'CANARY', 'user': 'nova'}",
        "{u'password': u'CANARY'}",
        "{'key': 'password', 'value': 'CANARY'}",
        "Credentials(user='nova', password='CANARY')",
        "<adminPass>CANARY</adminPass>",
        "<secret>\n  CANARY\n</secret>",
        "<graphics type='vnc' passwd='CANARY'/>",
        "credentials:\n  user: nova\n  word: CANARY",
        // statements, commands, blocks
        "(sqlite3.OperationalError) no such table: users\n[SQL: SELECT 1 WHERE p = 'CANARY']",
        "(pymysql.err.DataError) too long\n[SQL: INSERT INTO t VALUES (%s)]\n[parameters: ('a', 'CANARY')]",
        "(x) y\n[parameters: {'name': 'CANARY'}]\n(Background on this error at: https://sqlalche.me/e/20/e3q8)",
        "near 'IDENTIFIED BY 'CANARY' REQUIRE NONE' at line 1",
        "CREATE USER nova IDENTIFIED\nBY\n'CANARY'",
        "alter user 'nova'@'%' identified with mysql_native_password as 'CANARY'",
        "CREATE USER nova IDENTIFIED VIA ed25519 USING 'CANARY' OR unix_socket",
        "IDENTIFIED WITH caching_sha2 BY 'x' REPLACE 'CANARY'",
        "SET PASSWORD FOR 'nova'@'%' = 'CANARY'",
        "SET PASSWORD = PASSWORD('CANARY')",
        "SELECT PASSWORD('CANARY')",
        "ALTER USER nova WITH ENCRYPTED PASSWORD 'it''s CANARY' VALID UNTIL 'infinity'",
        "CREATE ROLE nova LOGIN PASSWORD E'CANARY'",
        "CREATE ROLE nova LOGIN PASSWORD $$CANARY$$",
        "Command: mysql -uroot -pCANARY nova",
        "Command: mysql -u root -p CANARY nova",
        "Command: openstack --os-password CANARY server list",
        "curl -u nova:CANARY http://10.0.0.1",
        "-----BEGIN RSA PRIVATE KEY-----\nMIICANARY\n-----END RSA PRIVATE KEY-----",
        // random words
        "invalid: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJDQU5BUlkifQ.CANARY",
        "invalid: gAAAAABCANARYxyz-_1234567890==",
        "invalid: AKIAIOSFODNN7CANARY",
        "invalid: ghp_CANARY16C7e42F292c6912E7",
        "invalid: Xk29CANARYsjdJD83jsk29dkAAb1",
        // several causes in one text
        "DBError: gone (caused by OSError: mysql://n:CANARY@db (caused by KeyError: password='CANARY'))",
        "first line\npassword: CANARY\nthird line",
    ] {
        assert_hidden(text);
    }
}

#[test]
fn texts_without_secrets_stay_readable() {
    for (text, expected) in [
        ("[Errno 111] Connection refused", "[Errno 111] Connection refused"),
        ("no such table: services", "no such table: services"),
        ("", ""),
        ("rabbit://nova:x@mq:5672//: refused", "rabbit://***@mq:5672//: refused"),
        ("http://10.0.0.1:8774/v2.1: timed out", "http://10.0.0.1:8774/v2.1: timed out"),
        ("http://[::1]:8774/v2.1 timed out", "http://[::1]:8774/v2.1 timed out"),
        ("Duplicate entry '7' for key 'PRIMARY'", "Duplicate entry '7' for key 'PRIMARY'"),
        ("{'user': 'nova', 'password': 'x', 'db': 1}", "{'user': 'nova', 'password': '***', 'db': 1}"),
        ("Access denied for user 'nova'@'localhost'", "Access denied for user 'nova'@'localhost'"),
        ("password authentication failed", "password authentication failed"),
        ("a host is identified by its name", "a host is identified by***"),
        ("cannot be identified: no such host", "cannot be identified: no such host"),
        ("authentication failed: no such user", "authentication failed: no such user"),
        ("keystone: unreachable", "keystone: unreachable"),
        ("password=''", "password=''"),
        ("req-6f5f5f6a-59b7-4e3e-8b1b-0d6c4a1c2b3d", "req-6f5f5f6a-59b7-4e3e-8b1b-0d6c4a1c2b3d"),
        ("(sqlite3.OperationalError) locked\n[SQL: SELECT 1]", "(sqlite3.OperationalError) locked [SQL:***"),
        ("mq1:5672 unreachable, bob@example.org", "mq1:5672 unreachable, bob@example.org"),
    ] {
        assert_eq!(scrub(text, LONGEST), expected, "{text:?}");
    }
}

#[test]
fn control_characters_do_not_reach_a_terminal() {
    assert_eq!(printable("a\r\nb\tc\u{7f}d\u{85}e\u{2028}f\0g"), "a  b c d e fg");
    assert_eq!(printable("\u{1b}[31;1mred\u{1b}[0m \u{1b}]0;title\u{7}"), "red  ]0;title ");
    assert_eq!(printable("user\u{202e}txt.exe\u{2066}x\u{feff}"), "usertxt.exex");
    assert_eq!(printable("naïve ✓ 漢字 <script>"), "naïve ✓ 漢字 <script>");
}

#[test]
fn a_text_is_cut_between_characters_and_ends_in_an_ellipsis() {
    assert_eq!(scrub("abcdef", 6), "abcdef");
    assert_eq!(scrub("abcdefg", 6), "abc…");
    assert_eq!(scrub("ééééé", 8), "éé…");
    assert_eq!(scrub("abc", 2), "ab");
    assert_eq!(scrub("é", 1), "");
    assert_eq!(scrub("abc", 0), "");
}

#[test]
fn no_part_of_a_secret_at_the_cut_is_left() {
    for length in 0..60 {
        let clean = scrub("cannot reach rabbit://nova:CANARY@mq:5672//", length);
        assert!(!clean.contains("CA"), "{clean}");
    }
    for padding in LONGEST - 80..LONGEST + 20 {
        let text = format!("{} rabbit://nova:CANARY@mq Xk29CANARYsjdJD83jsk29dkAAb1", "x".repeat(padding));
        let clean = scrub(&text, usize::MAX);
        assert!(!clean.contains("CA") && !clean.contains("Xk29"), "{clean}");
    }
}

#[test]
fn an_identifier_is_filtered_by_character_and_not_by_the_rules_for_secrets() {
    for (text, longest, expected) in [
        ("oslo_messaging.MessagingTimeout", 64, "oslo_messaging.MessagingTimeout"),
        ("Http2ConnectionTerminatedError", 64, "Http2ConnectionTerminatedError"),
        ("io::Error", 64, "io::Error"),
        ("0123456789abcdef0123456789abcdef", 64, "0123456789abcdef0123456789abcdef"),
        ("HTTP 503\n", 64, "HTTP_503_"),
        ("password=x", 64, "password_x"),
        ("MessagingTimeout", 9, "Messaging"),
        ("ééé", 5, "éé"),
        ("", 9, ""),
    ] {
        assert_eq!(identifier(text, longest), expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn a_canary_after_a_key_never_survives(
        before in "[ -~\n]{0,30}[ \n{(,;\"'&?]",
        key in prop::sample::select(vec![
            "password", "passwd", "Password", "pwd", "secret", "token", "X-Auth-Token", "Authorization", "cookie",
            "api_key", "apikey", "access_key", "private_key", "credential", "admin_pass", "auth_key", "OS_PASSWORD",
            "client_secret", "passphrase", "key", "auth", "signature", "session",
        ]),
        separator in prop::sample::select(vec!["=", ":", ": ", " = ", "\": \"", "': '", "=\"", "='", "\\\": \\\"", "=>", "', '"]),
        noise in "[a-z]{0,5}[ /#?@%!$&*+.,;:|~^<>(){}-]{0,5}",
        after in "[ -~\n]{0,30}",
    ) {
        let clean = scrub(&format!("{before}{key}{separator}{noise}CANARY{after}"), LONGEST);
        prop_assert!(!clean.contains("CANARY"), "{}", clean);
    }

    #[test]
    fn any_text_is_cut_to_size_without_control_characters(text in any::<String>(), size in 0_usize..300) {
        let clean = scrub(&text, size);
        prop_assert!(clean.len() <= size);
        prop_assert!(!clean.contains(char::is_control));
        prop_assert!(identifier(&text, size).len() <= size);
    }

    #[test]
    fn no_mixture_of_patterns_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "password", "'", "\"", "\\", ":", "=", "://", "@", "?", "é", "\n", " ", "[SQL:", "-p", "--token", "-----BEGIN ",
        "\u{1b}[", "eyJ", "b'", "%3D", "&quot;", "auth", ",", "[", "0",
    ]), 0..40)) {
        scrub(&parts.concat(), 100);
    }
}
