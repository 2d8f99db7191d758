using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Transport;

public sealed class TlsTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Nodes_with_the_same_certificate_are_connected()
    {
        TestCertificates.SelfSigned(_directory, "shared");
        await ConnectedAsync(With("shared"), With("shared"));
    }

    [Fact]
    public async Task Nodes_with_certificates_of_one_authority_are_connected()
    {
        TestCertificates.Authority(_directory, "ca");
        TestCertificates.Issued(_directory, "a", "ca");
        TestCertificates.Issued(_directory, "b", "ca");
        await ConnectedAsync(With("a", "ca") with { Tokens = ["t"] }, With("b", "ca") with { Tokens = ["t"] });
    }

    [Fact]
    public async Task A_certificate_of_another_authority_is_refused_by_either_side()
    {
        TestCertificates.Authority(_directory, "ca");
        TestCertificates.Authority(_directory, "other");
        TestCertificates.Issued(_directory, "a", "ca");
        TestCertificates.Issued(_directory, "b", "other");
        await using var a = await TransportNode.StartAsync("a", With("a", "ca"));
        await using var b = await TransportNode.StartAsync("b", With("b", "other"));
        a.Transport.Dial([b.Address]);

        await Task.WhenAll(a.UntilAsync("(Certificate)"), b.UntilAsync("(Certificate)"));
        Assert.True(a.Transport.Counters.Refused(RefusalReason.Certificate) > 0 && b.Transport.Counters.Refused(RefusalReason.Certificate) > 0);
        Assert.Equal(0, a.Count("connected b") + b.Count("connected a"));
    }

    [Fact]
    public async Task A_dialling_node_without_a_certificate_of_the_authority_is_told_that_it_is_not_trusted()
    {
        // The dialling one trusts the other, not the other way round.
        TestCertificates.Authority(_directory, "ca");
        TestCertificates.Authority(_directory, "other");
        TestCertificates.Issued(_directory, "a", "other");
        TestCertificates.Issued(_directory, "b", "ca");
        await using var a = await TransportNode.StartAsync("a", With("a", "ca"));
        await using var b = await TransportNode.StartAsync("b", With("b", "ca"));
        a.Transport.Dial([b.Address]);

        await a.UntilAsync("it does not trust this node's certificate (Certificate)");
        await b.UntilAsync("the TLS handshake failed");
        Assert.Equal(0, a.Count("connected b") + b.Count("connected a"));
    }

    [Fact]
    public async Task A_plain_peer_is_refused_on_a_TLS_port()
    {
        TestCertificates.SelfSigned(_directory, "shared");
        await RefusedAsync(TransportNode.Quick, With("shared"), RefusalReason.TlsRequired, "b speaks TLS on its cluster port (tls_enabled), the other does not (TlsRequired)");
    }

    [Fact]
    public async Task A_TLS_peer_is_refused_on_a_plain_port()
    {
        TestCertificates.SelfSigned(_directory, "shared");
        await RefusedAsync(With("shared"), TransportNode.Quick, RefusalReason.TlsUnexpected, "b does not speak TLS on its cluster port (tls_enabled), the other does (TlsUnexpected)");
    }

    [Fact]
    public async Task A_certificate_is_changed_without_a_restart()
    {
        TestCertificates.Authority(_directory, "old");
        TestCertificates.Authority(_directory, "new");
        TestCertificates.Issued(_directory, "a", "old");
        TestCertificates.Issued(_directory, "b", "new");
        var time = new ManualTime(DateTimeOffset.UtcNow);
        await using var a = await TransportNode.StartAsync("a", With("a", "old", time));
        await using var b = await TransportNode.StartAsync("b", With("b", "new"));
        a.Transport.Dial([b.Address]);
        await a.UntilAsync("(Certificate)");

        TestCertificates.Issued(_directory, "a", "new");
        File.Copy(_directory["new.pem"], _directory["old.pem"], overwrite: true);
        foreach (var file in new[] { "a.pem", "a.key", "old.pem" })
        {
            File.SetLastWriteTimeUtc(_directory[file], DateTime.UtcNow.AddSeconds(2));
        }

        time.Pass(TimeSpan.FromSeconds(2));
        await a.UntilAsync("connected b/0");
        Assert.Equal("x", await a.AskAsync("b", FrameType.Append, "x"));
    }

    [Fact]
    public void A_pair_of_which_one_half_has_changed_leaves_the_old_one_in_use()
    {
        TestCertificates.SelfSigned(_directory, "shared");
        TestCertificates.SelfSigned(_directory, "next");
        var time = new ManualTime(DateTimeOffset.UtcNow);
        var certificate = With("shared", time: time).Certificate!;
        File.Copy(_directory["next.pem"], _directory["shared.pem"], overwrite: true);
        File.SetLastWriteTimeUtc(_directory["shared.pem"], DateTime.UtcNow.AddSeconds(2));
        time.Pass(TimeSpan.FromSeconds(2));
        Assert.Contains("CN=shared", certificate.Listening().ServerCertificateContext!.TargetCertificate.Subject, StringComparison.Ordinal);

        File.Copy(_directory["next.key"], _directory["shared.key"], overwrite: true);
        File.SetLastWriteTimeUtc(_directory["shared.key"], DateTime.UtcNow.AddSeconds(4));
        time.Pass(TimeSpan.FromSeconds(2));
        Assert.Contains("CN=next", certificate.Listening().ServerCertificateContext!.TargetCertificate.Subject, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_can_not_be_used_is_named()
    {
        TestCertificates.SelfSigned(_directory, "a");
        TestCertificates.SelfSigned(_directory, "b");
        File.WriteAllText(_directory["empty.pem"], "");
        File.WriteAllText(_directory["junk.pem"], "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");

        Names("missing.pem", "missing.pem", "a.key", "");
        Names("missing.key", "a.pem", "missing.key", "");
        Names("missing.ca", "a.pem", "a.key", "missing.ca");
        Names("b.key", "a.pem", "b.key", "");
        Names("empty.pem", "empty.pem", "a.key", "");
        Names("empty.pem", "a.pem", "empty.pem", "");
        Names("junk.pem", "junk.pem", "a.key", "");
        Names("empty.pem", "a.pem", "a.key", "empty.pem");
    }

    private void Names(string named, string certificate, string key, string authority)
    {
        var failure = Assert.Throws<IOException>(() => new PortCertificate(
            _directory[certificate], _directory[key], authority.Length > 0 ? _directory[authority] : "", TimeProvider.System, NullLogger.Instance));
        Assert.Contains(_directory[named], failure.Message, StringComparison.Ordinal);
    }

    private PortOptions With(string name, string authority = "", TimeProvider? time = null) => TransportNode.Quick with
    {
        Certificate = new PortCertificate(
            _directory[name + ".pem"],
            _directory[name + ".key"],
            authority.Length > 0 ? _directory[authority + ".pem"] : "",
            time ?? TimeProvider.System,
            NullLogger.Instance),
    };

    private static async Task ConnectedAsync(PortOptions first, PortOptions second)
    {
        await using var a = await TransportNode.StartAsync("a", first);
        await using var b = await TransportNode.StartAsync("b", second);
        a.Transport.Dial([b.Address]);
        b.Transport.Dial([a.Address]);
        await Task.WhenAll(a.UntilAsync("connected b/0"), b.UntilAsync("connected a/0"));

        var large = new byte[FrameLimits.PayloadMax];
        new Random(2).NextBytes(large);
        var answers = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => a.Transport.AskAsync("b", FrameType.Append, large, TestContext.Current.CancellationToken)));
        Assert.All(answers, answer => Assert.True(answer.Span.SequenceEqual(large)));
        Assert.Equal("y", await b.AskAsync("a", FrameType.Snapshot, "y"));
    }

    private static async Task RefusedAsync(PortOptions dialling, PortOptions listening, RefusalReason reason, string text)
    {
        await using var a = await TransportNode.StartAsync("a", dialling);
        await using var b = await TransportNode.StartAsync("b", listening);
        a.Transport.Dial([b.Address]);

        await Task.WhenAll(a.UntilAsync(text), b.UntilAsync(text));
        Assert.True(a.Transport.Counters.Refused(reason) > 0 && b.Transport.Counters.Refused(reason) > 0);
        Assert.Equal(0, a.Count("connected b") + b.Count("connected a"));
    }
}
