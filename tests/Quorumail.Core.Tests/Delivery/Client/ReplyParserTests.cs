using System.Text;
using CsCheck;
using Quorumail.Core.Delivery.Client;

namespace Quorumail.Core.Tests.Delivery.Client;

public sealed class ReplyParserTests
{
    [Theory]
    [InlineData("250 ok\r\n", 250, null, "250 ok")]
    [InlineData("250\r\n", 250, null, "250")]
    [InlineData("550 5.1.1 no such user\r\n", 550, "5.1.1", "550 5.1.1 no such user")]
    [InlineData("550 4.1.1 class differs\r\n", 550, null, "550 4.1.1 class differs")]
    [InlineData("550-first\r\n550 second\r\n", 550, null, "550 first second")]
    [InlineData("354 lf alone\n", 354, null, "354 lf alone")]
    [InlineData("250 5.1\r\n", 250, null, "250 5.1")]
    public void A_reply_is_read(string wire, int code, string? enhanced, string text)
    {
        var parser = new ReplyParser(SmtpClientLimits.Default);
        var bytes = Encoding.Latin1.GetBytes(wire);
        Assert.Equal(ReplyStatus.Complete, parser.Read(bytes, out var consumed, out var reply));
        Assert.Equal(bytes.Length, consumed);
        Assert.Equal(code, reply!.Code);
        Assert.Equal(enhanced, reply.EnhancedCode);
        Assert.Equal(text, reply.Text);
    }

    [Theory]
    [InlineData("hello\r\n")]
    [InlineData("\r\n")]
    [InlineData("150 no\r\n")]
    [InlineData("650 no\r\n")]
    [InlineData("2x0 no\r\n")]
    [InlineData("250_no\r\n")]
    [InlineData("250-a\r\n550 b\r\n")]
    public void What_is_no_reply_is_malformed(string wire)
    {
        var parser = new ReplyParser(SmtpClientLimits.Default);
        Assert.Equal(ReplyStatus.Malformed, parser.Read(Encoding.Latin1.GetBytes(wire), out _, out _));
    }

    [Fact]
    public void Control_characters_and_high_octets_never_get_through()
    {
        var parser = new ReplyParser(SmtpClientLimits.Default);
        var wire = Encoding.UTF8.GetBytes("550 a\u001b[2J\0b\rc\u2028d\u0085é\r\n");
        Assert.Equal(ReplyStatus.Complete, parser.Read(wire, out _, out var reply));
        Assert.Equal("550 a\\x1B[2J\\x00b\\x0Dc\\xE2\\x80\\xA8d\\xC2\\x85\\xC3\\xA9", reply!.Text);
    }

    [Fact]
    public void A_line_without_end_is_given_up_at_the_limit()
    {
        var parser = new ReplyParser(SmtpClientLimits.Default);
        var line = Encoding.Latin1.GetBytes(new string('2', SmtpClientLimits.Default.ReplyLineMax));
        Assert.Equal(ReplyStatus.Incomplete, parser.Read(line, out _, out _));
        Assert.Equal(ReplyStatus.Malformed, parser.Read("2"u8, out _, out _));
    }

    [Fact]
    public void A_reply_without_end_is_given_up_at_the_limit()
    {
        var parser = new ReplyParser(SmtpClientLimits.Default);
        for (var i = 0; i < SmtpClientLimits.Default.ReplyLinesMax; i++)
        {
            Assert.Equal(ReplyStatus.Incomplete, parser.Read("250-x\r\n"u8, out _, out _));
        }

        Assert.Equal(ReplyStatus.Malformed, parser.Read("250-x\r\n"u8, out _, out _));
    }

    [Fact]
    public void Any_bytes_cut_anywhere_give_the_same_and_only_printable_text() =>
        Gen.Select(Gen.OneOf(Gen.Byte, Gen.OneOf("0123456789 -\r\n"u8.ToArray())).Array[0, 200], Gen.Int[1, 20])
            .Sample((bytes, piece) =>
            {
                var whole = ReadAll(bytes, bytes.Length + 1);
                Assert.Equal(whole, ReadAll(bytes, piece));
                Assert.All(whole, text => Assert.True(text.All(c => c is >= ' ' and <= '~')));
            });

    private static List<string> ReadAll(byte[] bytes, int piece)
    {
        var parser = new ReplyParser(SmtpClientLimits.Default);
        var seen = new List<string>();
        for (var at = 0; at < bytes.Length; at += piece)
        {
            ReadOnlySpan<byte> rest = bytes.AsSpan(at, Math.Min(piece, bytes.Length - at));
            while (!rest.IsEmpty)
            {
                var status = parser.Read(rest, out var consumed, out var reply);
                if (status == ReplyStatus.Malformed)
                {
                    seen.Add("malformed");
                    return seen;
                }

                if (status == ReplyStatus.Complete)
                {
                    seen.Add($"{reply!.EnhancedCode} {reply.Text}");
                }

                rest = rest[consumed..];
            }
        }

        return seen;
    }
}
