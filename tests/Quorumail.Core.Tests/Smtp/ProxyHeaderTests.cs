using System.Buffers;
using System.Text;
using Quorumail.Core.Smtp;

namespace Quorumail.Core.Tests.Smtp;

public sealed class ProxyHeaderTests
{
    private const string Signature = "\r\n\r\n\0\r\nQUIT\n";

    [Theory]
    [InlineData("PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\r\n", "192.0.2.1:1234")]
    [InlineData("PROXY TCP6 2001:db8::1 2001:db8::2 1234 25\r\n", "[2001:db8::1]:1234")]
    [InlineData("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", null)]
    [InlineData(Signature + "\x21\x11\0\x0C\xC0\0\x02\x01\xC0\0\x02\x02\x04\xD2\0\x19", "192.0.2.1:1234")]
    [InlineData(Signature + "\x21\x11\0\x0F\xC0\0\x02\x01\xC0\0\x02\x02\x04\xD2\0\x19\x04\0\0", "192.0.2.1:1234")]
    [InlineData(Signature + "\x20\0\0\0", null)]
    public void A_header_is_read_and_what_follows_is_left(string header, string? client)
    {
        var input = new ReadOnlySequence<byte>(Encoding.Latin1.GetBytes(header + "EHLO x\r\n"));
        Assert.Equal(ProxyHeaderStatus.Complete, ProxyHeader.Read(ref input, out var found));
        Assert.Equal(client, found?.ToString());
        Assert.Equal("EHLO x\r\n", Encoding.Latin1.GetString(input.ToArray()));
    }

    [Theory]
    [InlineData("EHLO x\r\n")]
    [InlineData("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n")]
    [InlineData("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n")]
    [InlineData("PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n")]
    [InlineData("PROXY TCP4 ::1 ::1 1 2\r\n")]
    [InlineData("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n")]
    [InlineData("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n")]
    [InlineData("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n")]
    [InlineData("PROXY TCP4 192.0.2.1 192.0.2.2 1 2xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")]
    [InlineData(Signature + "\x11\x11\0\x0C")]
    [InlineData(Signature + "\x22\x11\0\x0C")]
    [InlineData(Signature + "\x21\x11\xFF\xFF")]
    [InlineData(Signature + "\x21\x11\0\x04\xC0\0\x02\x01")]
    public void What_is_no_header_is_refused(string header)
    {
        var input = new ReadOnlySequence<byte>(Encoding.Latin1.GetBytes(header));
        Assert.Equal(ProxyHeaderStatus.Invalid, ProxyHeader.Read(ref input, out _));
    }
}
