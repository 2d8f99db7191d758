using System.Buffers;
using System.Text;
using CsCheck;
using Quorumail.Core.Delivery.Client;

namespace Quorumail.Core.Tests.Delivery.Client;

public sealed class DotStufferTests
{
    private static readonly Gen<byte[]> Message =
        Gen.OneOf("a", ".", "\r\n", "..", "\r\n.", "\r\n.\r\n", "é", " ").Array[0, 60]
            .Select(parts => Encoding.UTF8.GetBytes(string.Concat(parts)));

    private static readonly Gen<byte[]> AnyBytes =
        Gen.OneOf(Gen.Byte, Gen.OneOf("\r\n."u8.ToArray())).Array[0, 100];

    [Theory]
    [InlineData("", "")]
    [InlineData("a", "a\r\n")]
    [InlineData(".", "..\r\n")]
    [InlineData(".\r\n", "..\r\n")]
    [InlineData("a.b\r\n.c\r\n..d\r\n", "a.b\r\n..c\r\n...d\r\n")]
    [InlineData("\r\n.\r\n", "\r\n..\r\n")]
    public void A_dot_at_the_start_of_a_line_is_doubled(string message, string expected) =>
        Assert.Equal(expected, Encoding.UTF8.GetString(Stuff(Encoding.UTF8.GetBytes(message), 1)!));

    [Theory]
    [InlineData("a\nb\r\n")]
    [InlineData("a\rb\r\n")]
    [InlineData("a\r\n.\nb\r\n")]
    [InlineData("a\r\r\n")]
    [InlineData("\n")]
    [InlineData("a\r")]
    public void A_bare_line_end_character_is_refused(string message)
    {
        Assert.Null(Stuff(Encoding.UTF8.GetBytes(message), 1));
        Assert.Null(Stuff(Encoding.UTF8.GetBytes(message), 100));
    }

    [Fact]
    public void What_is_stuffed_and_unstuffed_is_as_before() => Gen.Select(Message, Gen.Int[1, 30]).Sample((message, piece) =>
    {
        var stuffed = Stuff(message, piece)!;
        var complete = message.Length == 0 || message.AsSpan().EndsWith("\r\n"u8) ? message : [.. message, .. "\r\n"u8];
        Assert.Equal(complete, Unstuff(stuffed));
    });

    [Fact]
    public void Whatever_goes_in_no_bare_line_end_and_no_early_end_comes_out() =>
        Gen.Select(AnyBytes, Gen.Int[1, 30]).Sample((bytes, piece) =>
        {
            var output = new ArrayBufferWriter<byte>();
            var stuffer = default(DotStuffer);
            for (var at = 0; at < bytes.Length; at += piece)
            {
                if (!stuffer.TryWrite(bytes.AsSpan(at, Math.Min(piece, bytes.Length - at)), output))
                {
                    break;
                }
            }

            var text = "\r\n" + Encoding.Latin1.GetString(output.WrittenSpan);
            Assert.DoesNotContain('\r', text.Replace("\r\n", "", StringComparison.Ordinal));
            Assert.DoesNotContain('\n', text.Replace("\r\n", "", StringComparison.Ordinal));
            Assert.DoesNotContain("\r\n.\r\n", text, StringComparison.Ordinal);
        });

    private static byte[]? Stuff(byte[] message, int piece)
    {
        var output = new ArrayBufferWriter<byte>();
        var stuffer = default(DotStuffer);
        for (var at = 0; at < message.Length; at += piece)
        {
            if (!stuffer.TryWrite(message.AsSpan(at, Math.Min(piece, message.Length - at)), output))
            {
                return null;
            }
        }

        return stuffer.TryEndLine(output) ? output.WrittenSpan.ToArray() : null;
    }

    private static byte[] Unstuff(byte[] wire)
    {
        var text = "\r\n" + Encoding.Latin1.GetString(wire);
        return Encoding.Latin1.GetBytes(text.Replace("\r\n.", "\r\n", StringComparison.Ordinal)[2..]);
    }
}
