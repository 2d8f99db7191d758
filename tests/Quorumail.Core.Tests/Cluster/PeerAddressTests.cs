using CsCheck;
using Quorumail.Core.Cluster;

namespace Quorumail.Core.Tests.Cluster;

public sealed class PeerAddressTests
{
    [Theory]
    [InlineData("node2:9000", "node2", 9000)]
    [InlineData(" node2:9001 ", "node2", 9001)]
    [InlineData("node2", "node2", 9000)]
    [InlineData("192.168.1.101:9000", "192.168.1.101", 9000)]
    [InlineData("smtp-cluster-0.smtp-cluster:9000", "smtp-cluster-0.smtp-cluster", 9000)]
    [InlineData("smtp_node.example.", "smtp_node.example.", 9000)]
    [InlineData("[2001:db8::2]:9000", "2001:db8::2", 9000)]
    [InlineData("[::1]", "::1", 9000)]
    [InlineData("::1", "::1", 9000)]
    [InlineData("[fe80::1%eth0]:65535", "fe80::1%eth0", 65535)]
    public void Every_usual_form_is_read(string text, string host, int port)
    {
        Assert.True(PeerAddress.TryParse(text, out var address, out var problem), problem);
        Assert.Equal(new PeerAddress(host, port), address);
        Assert.True(PeerAddress.TryParse(address!.ToString(), out var again, out _));
        Assert.Equal(address, again);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData(":9000")]
    [InlineData("node2:")]
    [InlineData("node2:0")]
    [InlineData("node2:65536")]
    [InlineData("node2:-1")]
    [InlineData("node2:9000x")]
    [InlineData("node 2:9000")]
    [InlineData("node2:9000:1")]
    [InlineData("http://node2:9000")]
    [InlineData("node2/x")]
    [InlineData("[2001:db8::2:9000")]
    [InlineData("[2001:db8::2]9000")]
    [InlineData("[node2]:9000")]
    [InlineData("[]:9000")]
    [InlineData("a..b")]
    [InlineData(".a")]
    public void A_bad_entry_is_named(string text)
    {
        Assert.False(PeerAddress.TryParse(text, out _, out var problem));
        Assert.StartsWith($"peer \"{text.Trim()}\": ", problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Whatever_stands_there_is_read_or_refused() =>
        Gen.Int[0, 10].Select(i => "[]:.-_%az09"[i]).Array[0, 30].Select(chars => new string(chars)).Sample(text =>
            !PeerAddress.TryParse(text, out var address, out _)
            || (PeerAddress.TryParse(address!.ToString(), out var again, out _) && again == address));
}
