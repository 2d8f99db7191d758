using System.Text;

namespace Quorumail.Fuzz;

/// <summary>Runs each target for a bounded time on mutated input. The seed is printed; QUORUMAIL_FUZZ_SEED repeats a run,
/// QUORUMAIL_FUZZ_SECONDS makes it longer.</summary>
public sealed class SmtpFuzzTests(ITestOutputHelper output)
{
    private static readonly byte[][] Conversations =
    [
        Octets("\x06" + "EHLO x\r\nMAIL FROM:<a@b> SIZE=9 BODY=8BITMIME\r\nRCPT TO:<c@d> NOTIFY=DELAY ORCPT=rfc822;c@d\r\nRSET\r\nQUIT\r\n"),
        Octets("\xFE" + "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nBDAT 10\r\nx: y\r\n\r\n.\rBDAT 2 LAST\r\n\n.NOOP\r\n"),
        Octets("\x1A" + "HELO x\r\nMAIL FROM:<\u00c3\u00a4@b> SMTPUTF8\r\nRCPT TO:<postmaster>\r\nDATA\r\nReceived: x\r\nFrom: y\r\n\r\n..\r\n\r\n.\r\nVRFY x\r\n"),
        Octets("\x18" + "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\nx: y\n\nbare\n.\n\r.\r\r\n.\r\nQUIT\r\n"),
        Octets("\x1D" + "EHLO x\r\nAUTH PLAIN AHUAc2VjcmV0\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx: y\r\n\r\nz\r\n.\r\n"),
        Octets("\x1D" + "EHLO x\r\nAUTH LOGIN\r\ndQ==\r\nc2VjcmV0\r\nNOOP\r\nAUTH SCRAM-SHA-256 biwsbj11LHI9YWJj\r\n*\r\n"),
        Octets("\x06" + "EHLO x\r\nSTARTTLS\r\nEHLO y\r\nHELP\r\nEXPN\r\nMAIL FROM:<@a,@b:\"c d\"@[IPv6:::1]>\r\nBDAT 5 LAST\r\n12345"),
    ];

    private static readonly byte[][] Words =
    [
        .. new[]
        {
            "\r\n", "\r", "\n", ".\r\n", "\r\n.\r\n", "\0", "BDAT 3\r\n", "BDAT 99999999999999999999\r\n", "LAST", "DATA\r\n", "MAIL FROM:<>\r\n",
            "RCPT TO:<a@b>\r\n", "EHLO x\r\n", "STARTTLS\r\n", "AUTH PLAIN\r\n", "<", ">", "@", "\"", "\\", "[IPv6:", "]", "=", ";", "+2B", "SIZE=", "RSET\r\n",
        }.Select(Octets),
    ];

    private static readonly byte[][] Paths =
        [.. new[] { "<a@b>", "<>", "<@a,@b:c@d>", "<\"a b\\\"\"@c.d>", "<a@[127.0.0.1]>", "<a@[IPv6:::1]>", "<postmaster>", "<\u00c3\u00a4@\u00c3\u00b6.test> SMTPUTF8" }.Select(Octets)];

    private static readonly byte[][] Headers =
    [
        .. new[]
        {
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nEHLO", "PROXY TCP6 ::1 2001:db8::1 65535 0\r\n", "PROXY UNKNOWN x y\r\n",
            "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\x01\x02\x03\x04\x05\x06\x07\x08\0\x19\0\x19", "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
            "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24" + "0123456789abcdef0123456789abcdef\0\x19\0\x19",
        }.Select(Octets),
    ];

    [Fact]
    public void A_session_keeps_its_promises_whatever_arrives() => Run(Conversations, data => SmtpTargets.Session(data));

    [Fact]
    public void A_path_is_refused_or_safe() => Run(Paths, data => SmtpTargets.Path(data));

    [Fact]
    public void A_PROXY_header_is_refused_or_read_the_same_however_it_arrives() => Run(Headers, data => SmtpTargets.Proxy(data));

    private static byte[] Octets(string text) => Encoding.Latin1.GetBytes(text);

    private void Run(byte[][] corpus, Action<byte[]> target) => FuzzRun.Of(corpus, Words, target, output);
}
