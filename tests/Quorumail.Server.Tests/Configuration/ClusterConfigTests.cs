using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Server.Configuration;
using Quorumail.Server.Hosting;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Configuration;

public sealed class ClusterConfigTests : IDisposable
{
    private const string Token = "0123456789abcdef";
    private const string Remote = "enabled = true\npeers = [\"node2:9000\"]\n";

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void Every_key_of_the_guide_has_both_spellings()
    {
        (string Variable, string Value, Func<ClusterOptions, object?> Read, object? Expected)[] guide =
        [
            ("SMTP_CLUSTER_ENABLED", "true", cluster => cluster.Enabled, true),
            ("SMTP_CLUSTER_NODE_ID", "node1", cluster => cluster.NodeId, "node1"),
            ("SMTP_CLUSTER_BIND_ADDRESS", "127.0.0.1", cluster => cluster.BindAddress.ToString(), "127.0.0.1"),
            ("SMTP_CLUSTER_BIND_PORT", "9001", cluster => cluster.BindPort, 9001),
            ("SMTP_CLUSTER_PEERS", "node2:9000, node3:9000", cluster => string.Join('|', cluster.Peers), "node2:9000|node3:9000"),
            ("SMTP_CLUSTER_HEARTBEAT_INTERVAL", "6000", cluster => cluster.HeartbeatIntervalMs, 6000),
            ("SMTP_CLUSTER_HEARTBEAT_TIMEOUT", "30000", cluster => cluster.HeartbeatTimeoutMs, 30_000),
            ("SMTP_CLUSTER_ELECTION_TIMEOUT", "20000", cluster => cluster.LeaderElectionTimeoutMs, 20_000),
            ("SMTP_CLUSTER_AUTO_DISCOVERY", "true", cluster => cluster.EnableAutoDiscovery, true),
            ("SMTP_CLUSTER_REPLICATION_BUFFER_SIZE", "20000", cluster => cluster.ReplicationBufferSize, 20_000),
            ("SMTP_CLUSTER_AUTH_ENABLED", "true", cluster => cluster.AuthEnabled, true),
            ("SMTP_CLUSTER_AUTH_TOKEN", "your-secret-token", cluster => cluster.AuthToken, "your-secret-token"),
            ("SMTP_CLUSTER_TLS_ENABLED", "true", cluster => cluster.TlsEnabled, true),
            ("SMTP_CLUSTER_TLS_CERT", "/path/to/cluster-cert.pem", cluster => cluster.TlsCert, "/path/to/cluster-cert.pem"),
            ("SMTP_CLUSTER_TLS_KEY", "/path/to/cluster-key.pem", cluster => cluster.TlsKey, "/path/to/cluster-key.pem"),
        ];
        var loaded = ConfigLoader.LoadText("", guide.Select(key => KeyValuePair.Create(key.Variable, key.Value)));

        Assert.DoesNotContain(loaded.Warnings, warning => warning.Contains("unknown", StringComparison.Ordinal));
        Assert.All(guide, key => Assert.Equal(key.Expected, key.Read(loaded.Options.Cluster)));
    }

    [Theory]
    [InlineData("", "cluster.auth_enabled")]
    [InlineData("auth_enabled = true", "cluster.auth_token")]
    [InlineData("auth_token = \"short\"", "cluster.auth_token")]
    [InlineData("auth_enabled = false\nauth_token_previous = \"" + Token + "\"", "cluster.auth_token_previous")]
    [InlineData("auth_enabled = false\ntls_enabled = true", "cluster.tls_cert")]
    [InlineData("auth_enabled = false\ntls_enabled = true\ntls_cert = \"/nowhere/cert.pem\"", "cluster.tls_key")]
    [InlineData("auth_enabled = false\ntls_enabled = true\ntls_cert = \"/nowhere/cert.pem\"\ntls_key = \"/nowhere/key.pem\"", "cluster.tls_cert")]
    [InlineData("auth_enabled = false\nnode_id = \"node 1\"", "cluster.node_id")]
    [InlineData("auth_enabled = false\nadvertise_address = \"node1:0\"", "cluster.advertise_address")]
    [InlineData("auth_enabled = false\ndns_servers = [\"name.example\"]", "cluster.dns_servers")]
    [InlineData("auth_enabled = false\nheartbeat_timeout_ms = 5000", "cluster.heartbeat_timeout_ms")]
    [InlineData("auth_enabled = false\nconsensus_heartbeat_ms = 900", "cluster.consensus_heartbeat_ms")]
    [InlineData("auth_enabled = false\nconsensus_election_min_ms = 500\nconsensus_election_max_ms = 400", "cluster.consensus_election_min_ms")]
    public void What_can_not_work_or_is_not_safe_is_refused_at_start(string toml, string key)
    {
        var problem = Assert.Single(Problems(Remote + toml));

        Assert.Equal(key, problem.Key);
        Assert.DoesNotContain("short", problem.Value ?? "", StringComparison.Ordinal);
    }

    [Fact]
    public void Founding_without_the_others_is_one_word_that_warns()
    {
        var said = ConfigLoader.LoadText("[cluster]\nenabled = true\nbind_address = \"127.0.0.1\"\n", [KeyValuePair.Create("SMTP_CLUSTER_BOOTSTRAP", "true")]);
        var config = ClusterSetup.Create(said.Options with { Cluster = said.Options.Cluster with { ReplicationBatchIntervalMs = 7 } }, TimeProvider.System, NullLogger.Instance);

        Assert.True(config.Bootstrap);
        Assert.Equal(7, config.ReplicationBatchIntervalMs);
        Assert.Single(said.Warnings, warning => warning.Contains("cluster.bootstrap", StringComparison.Ordinal));
        Assert.False(ClusterSetup.Create(Load("").Options, TimeProvider.System, NullLogger.Instance).Bootstrap);
    }

    [Theory]
    [InlineData("bind_address = \"127.0.0.1\"\npeers = [\"127.0.0.1:9001\", \"localhost:9002\", \"[::1]:9003\"]")]
    [InlineData("bind_address = \"::1\"")]
    public void On_one_machine_nobody_needs_a_token(string toml)
    {
        Assert.Empty(Problems("enabled = true\n" + toml));
        Assert.DoesNotContain(Load("enabled = true\n" + toml).Warnings, warning => warning.StartsWith("cluster.", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("bind_address = \"127.0.0.1\"\npeers = [\"127.0.0.1:9001\", \"node3:9002\"]")]
    [InlineData("bind_address = \"127.0.0.1\"\nenable_auto_discovery = true")]
    [InlineData("peers = [\"127.0.0.1:9001\"]")]
    [InlineData("")]
    public void A_port_that_others_reach_needs_a_token_or_a_word(string toml)
    {
        Assert.Equal("cluster.auth_enabled", Assert.Single(Problems("enabled = true\n" + toml)).Key);
        Assert.Empty(Problems("enabled = true\nauth_enabled = false\n" + toml));
        Assert.Contains(Load("enabled = true\nauth_enabled = false\n" + toml).Warnings, warning => warning.StartsWith("cluster.auth_enabled = false: ", StringComparison.Ordinal));
        Assert.Empty(Problems($"enabled = true\nauth_token = \"{Token}\"\n" + toml));
    }

    [Fact]
    public void An_empty_variable_says_nothing() =>
        Assert.Null(ConfigLoader.LoadText("", [new("SMTP_CLUSTER_AUTH_ENABLED", "")]).Options.Cluster.AuthEnabled);

    [Fact]
    public void A_token_is_never_shown()
    {
        var loaded = Load($"{Remote}auth_token = \"{Token}\"\nauth_token_previous = \"{Token}x\"");

        Assert.DoesNotContain(loaded.Values, value => value.Value.Contains(Token, StringComparison.Ordinal));
        Assert.DoesNotContain(loaded.Warnings, warning => warning.Contains(Token, StringComparison.Ordinal));
        Assert.DoesNotContain(Token, loaded.Options.Cluster.ToString(), StringComparison.Ordinal);
        Assert.Equal([Token, Token + "x"], ClusterSettings.Port(loaded.Options.Cluster, TimeProvider.System, NullLogger.Instance).Tokens);
    }

    [Fact]
    public void A_PEM_file_that_can_not_be_used_is_named()
    {
        Pair("a");
        Pair("b");
        Assert.Empty(Problems(Tls("a.pem", "a.key", "a.pem")));
        Assert.NotNull(ClusterSettings.Port(Load(Tls("a.pem", "a.key", "")).Options.Cluster, TimeProvider.System, NullLogger.Instance).Certificate);

        Named("cluster.tls_key", "b.key", Tls("a.pem", "b.key", ""));
        Named("cluster.tls_key", "missing", Tls("a.pem", "missing", ""));
        Named("cluster.tls_cert", "missing", Tls("missing", "a.key", ""));
        Named("cluster.tls_ca", "missing", Tls("a.pem", "a.key", "missing"));
        Named("cluster.tls_ca", "a.key", Tls("b.pem", "b.key", "a.key"));
    }

    [Fact]
    public void Consensus_timers_follow_from_the_guides_keys_or_have_their_own()
    {
        var derived = ClusterSettings.Timers(Load("").Options.Cluster);
        Assert.Equal((250, 1000, 2000), (derived.Heartbeat.TotalMilliseconds, derived.ElectionLower.TotalMilliseconds, derived.ElectionUpper.TotalMilliseconds));
        var calmer = ClusterSettings.Timers(Load("leader_election_timeout_ms = 20000").Options.Cluster);
        Assert.Equal((250, 2000, 4000), (calmer.Heartbeat.TotalMilliseconds, calmer.ElectionLower.TotalMilliseconds, calmer.ElectionUpper.TotalMilliseconds));
        var own = ClusterSettings.Timers(Load("consensus_heartbeat_ms = 50\nconsensus_election_min_ms = 300").Options.Cluster);
        Assert.Equal((50, 300, 600), (own.Heartbeat.TotalMilliseconds, own.ElectionLower.TotalMilliseconds, own.ElectionUpper.TotalMilliseconds));
        Assert.Contains(Load("heartbeat_timeout_ms = 8000").Warnings, warning => warning.Contains("less than two intervals", StringComparison.Ordinal));
    }

    [Fact]
    public void Discovery_asks_for_a_name_that_fits_the_guides_service()
    {
        var discovery = ClusterSettings.Discovery(Load("enable_auto_discovery = true\nbind_port = 9005").Options.Cluster);
        Assert.Equal(("smtp-cluster", 9005), (discovery.Name, discovery.Port));
    }

    private static LoadedConfig Load(string toml) => ConfigLoader.LoadText("[cluster]\n" + toml);

    // Whether a cluster is to be had in this version at all is another test's concern.
    private static IEnumerable<ConfigProblem> Problems(string toml) =>
        Load(toml).Problems.Where(problem => problem.Key != "cluster.enabled");

    private static void Named(string key, string file, string toml)
    {
        var problem = Assert.Single(Problems(toml));
        Assert.Equal(key, problem.Key);
        Assert.Contains(file, problem.Value, StringComparison.Ordinal);
        Assert.Contains(file, problem.Fault, StringComparison.Ordinal);
    }

    private string Tls(string certificate, string key, string authority) =>
        $"{Remote}auth_token = \"{Token}\"\ntls_enabled = true\ntls_cert = \"{Path(certificate)}\"\ntls_key = \"{Path(key)}\"\ntls_ca = \"{Path(authority)}\"";

    private string Path(string name) => name.Length == 0 ? "" : System.IO.Path.Combine(_directory.Path, name);

    private void Pair(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        File.WriteAllText(Path(name + ".pem"), certificate.ExportCertificatePem());
        File.WriteAllText(Path(name + ".key"), key.ExportPkcs8PrivateKeyPem());
    }

    [Fact]
    public void A_Maildir_of_a_cluster_is_on_common_storage_or_an_error_that_points_to_LMTP()
    {
        const string Here = "enabled = true\nbind_address = \"127.0.0.1\"\n";
        const string Route = "[[routes]]\nmatch = \"example.org\"\ntransport = \"maildir\"\n";
        var problem = Assert.Single(Problems(Here + Route));
        Assert.EndsWith(".shared", problem.Key, StringComparison.Ordinal);
        Assert.Contains("LMTP", problem.ToString(), StringComparison.Ordinal);
        Assert.Empty(Problems(Here + Route + "shared = true\n"));
        Assert.Empty(Problems(Here + "[storage]\nmaildir_shared = true\n" + Route));
        Assert.Empty(Problems(Route));
    }
}
