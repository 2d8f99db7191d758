using Quorumail.Core.Smtp;

namespace Quorumail.Core.Tests.Smtp;

public sealed class ChunkingTests
{
    private static SessionHost Ready(SmtpLimits? limits = null) =>
        new SessionHost(limits: limits).Line("EHLO x", "MAIL FROM:<>", "RCPT TO:<a@b>");

    [Fact]
    public void Chunks_make_a_message_and_dots_are_nothing_special()
    {
        var host = Ready();
        host.Feed("BDAT 10\r\nx: y\r\n\r\n.\rBDAT 8 LAST\r\n\n.\r\n..\r\n");
        Assert.EndsWith("\r\nx: y\r\n\r\n.\r\n.\r\n..\r\n", Assert.Single(host.Messages).Body, StringComparison.Ordinal);
        Assert.Equal("250 2.0.0 10 octets received", host.Replies[^2]);
        Assert.StartsWith("250 2.0.0 queued as", host.LastReply, StringComparison.Ordinal);
    }

    [Fact]
    public void An_empty_last_chunk_ends_the_message()
    {
        var host = Ready();
        host.Feed("BDAT 6\r\nx: y\r\nBDAT 0 LAST\r\n");
        Assert.EndsWith("x: y\r\n", Assert.Single(host.Messages).Body, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("BDAT 4 LAST\r\na\nb\n")]
    [InlineData("BDAT 2\r\na\rBDAT 1 LAST\r\nb")]
    [InlineData("BDAT 2 LAST\r\na\r")]
    public void A_bare_line_end_in_a_chunk_is_refused_at_the_end(string octets)
    {
        var host = Ready();
        host.Feed(octets);
        Assert.StartsWith("550 5.6.11", host.LastReply, StringComparison.Ordinal);
        Assert.Empty(host.Messages);
        Assert.StartsWith("250", host.Ask("NOOP"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_refused_chunk_is_still_read_to_its_end()
    {
        var host = new SessionHost().Line("EHLO x");
        host.Feed("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
        Assert.StartsWith("503 5.5.1", host.Replies[^2], StringComparison.Ordinal);
        Assert.StartsWith("250 2.0.0", host.LastReply, StringComparison.Ordinal);

        host = Ready();
        host.Feed("BDAT 0 LAST\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
        Assert.StartsWith("503 5.5.1", host.Replies[^2], StringComparison.Ordinal);
        Assert.False(host.IsClosed);

        host = Ready();
        host.StartMessage = () => SmtpReplies.StorageFailed;
        host.Feed("BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
        Assert.StartsWith("451 4.3.0", host.Replies[^3], StringComparison.Ordinal);
        Assert.StartsWith("503 5.5.1", host.Replies[^2], StringComparison.Ordinal);
        Assert.False(host.IsClosed);
    }

    [Theory]
    [InlineData("BDAT 5 FOO\r\nlost.", "501 5.5.4")]
    [InlineData("BDAT 5O\r\n", "501 5.5.4")]
    public void A_refused_chunk_ends_its_message_so_that_no_other_completes_it_with_a_hole(string chunk, string reply)
    {
        var host = Ready();
        host.Feed("BDAT 6\r\nx: y\r\n" + chunk + "BDAT 6 LAST\r\nend.\r\n");
        Assert.StartsWith(reply, host.Replies[^2], StringComparison.Ordinal);
        Assert.StartsWith("503 5.5.1", host.LastReply, StringComparison.Ordinal);
        Assert.Empty(host.Messages);
        Assert.Contains("discard", host.Steps);
        Assert.False(host.Session.HasTransaction);
        Assert.StartsWith("250", host.Ask("MAIL FROM:<>"), StringComparison.Ordinal);
    }

    [Fact]
    public void DATA_and_BDAT_do_not_mix()
    {
        var host = Ready();
        host.Feed("BDAT 1\r\na");
        Assert.StartsWith("503 5.5.1", host.Ask("DATA"), StringComparison.Ordinal);
        Assert.StartsWith("503 5.5.1", host.Ask("RCPT TO:<c@d>"), StringComparison.Ordinal);
        Assert.StartsWith("250 2.0.0", host.Ask("RSET"), StringComparison.Ordinal);
        Assert.Contains("discard", host.Steps);
        Assert.StartsWith("503 5.5.1", host.Ask("BDAT 0 LAST"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("BDAT -1", "501", false)]
    [InlineData("BDAT", "501", false)]
    [InlineData("BDAT x", "501", false)]
    [InlineData("BDAT 1099511627776", "552", true)]
    [InlineData("BDAT 9223372036854775808", "552", true)]
    [InlineData("BDAT 99999999999999999999999 LAST", "552", true)]
    [InlineData("BDAT 0 FIRST", "501", false)]
    public void A_malformed_or_huge_chunk_is_refused_at_once(string command, string reply, bool closes)
    {
        var host = Ready();
        Assert.StartsWith(reply, host.Ask(command), StringComparison.Ordinal);
        Assert.Equal(closes, host.IsClosed);
    }

    [Fact]
    public void Chunks_larger_than_the_limit_in_sum_are_552_and_end_the_transaction()
    {
        var host = Ready(new SmtpLimits { MessageSizeMax = 10 });
        host.Feed("BDAT 6\r\n123456BDAT 6\r\n123456BDAT 1 LAST\r\n1");
        Assert.StartsWith("250", host.Replies[^3], StringComparison.Ordinal);
        Assert.StartsWith("552 5.3.4", host.Replies[^2], StringComparison.Ordinal);
        Assert.StartsWith("503 5.5.1", host.LastReply, StringComparison.Ordinal);
        Assert.Empty(host.Messages);
    }
}
