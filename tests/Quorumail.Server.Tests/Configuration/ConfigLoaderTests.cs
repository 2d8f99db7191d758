using System.Net;
using Quorumail.Core.Limits;
using Quorumail.Server.Configuration;
using Quorumail.Server.Limits;

namespace Quorumail.Server.Tests.Configuration;

public sealed class ConfigLoaderTests
{
    private const string Guide = """
        [cluster]
        enabled = false
        node_id = "node1"
        bind_address = "0.0.0.0"
        bind_port = 9000

        # Peer nodes
        peers = [
          "192.168.1.101:9000",
          "192.168.1.102:9000",
          "192.168.1.103:9000"
        ]

        # Timing
        heartbeat_interval_ms = 5000
        heartbeat_timeout_ms = 15000
        leader_election_timeout_ms = 10000

        # Features
        enable_auto_discovery = false
        """;

    [Fact]
    public void Nothing_at_all_is_a_good_configuration()
    {
        var loaded = ConfigLoader.LoadText("");

        Assert.Empty(loaded.Problems);
        Assert.Empty(loaded.Warnings);
        Assert.Equal(2525, loaded.Options.Server.Port);
        Assert.Equal(IPAddress.Any, loaded.Options.Server.Host);
        Assert.Equal(IPAddress.Loopback, loaded.Options.Http.BindAddress);
        Assert.Empty(loaded.Options.Server.TrustedNetworks);
        Assert.Contains("localhost", loaded.Options.EffectiveLocalDomains);
    }

    [Fact]
    public void The_guides_cluster_block_is_known()
    {
        var loaded = ConfigLoader.LoadText(Guide);

        Assert.Empty(loaded.Problems);
        Assert.Equal("node1", loaded.Options.Cluster.NodeId);
        Assert.Equal(3, loaded.Options.Cluster.Peers.Count);
        Assert.Equal(10_000, loaded.Options.Cluster.LeaderElectionTimeoutMs);
    }

    [Fact]
    public void A_cluster_without_a_token_is_accepted_if_it_is_said_and_warned_of()
    {
        var loaded = ConfigLoader.LoadText(Guide.Replace("enabled = false", "enabled = true\nauth_enabled = false", StringComparison.Ordinal));

        Assert.Empty(loaded.Problems);
        Assert.NotEmpty(loaded.Warnings);
    }

    [Theory]
    [InlineData("true", true)]
    [InlineData("1", true)]
    [InlineData("yes", true)]
    [InlineData("on", true)]
    [InlineData("0", false)]
    [InlineData("off", false)]
    public void Booleans_of_the_environment_may_be_written_in_the_usual_ways(string text, bool expected)
    {
        var loaded = ConfigLoader.LoadText("", [new("SMTP_CLUSTER_AUTO_DISCOVERY", text)]);

        Assert.Equal(expected, loaded.Options.Cluster.EnableAutoDiscovery);
    }

    [Fact]
    public void Command_line_wins_over_environment_wins_over_file()
    {
        const string File = """
            [server]
            port = 1000
            hostname = "file.example"
            max_recipients = 500
            """;
        var environment = Environment(("SMTP_PORT", "1001"), ("SMTP_SERVER_HOSTNAME", "environment.example"));

        var loaded = ConfigLoader.LoadText(File, environment, [("server.port", "--port", "1002")]);

        Assert.Empty(loaded.Problems);
        Assert.Equal(1002, loaded.Options.Server.Port);
        Assert.Equal("environment.example", loaded.Options.Server.Hostname);
        Assert.Equal(500, loaded.Options.Server.MaxRecipients);
        Assert.Equal("--port", Source(loaded, "server", "port"));
        Assert.Equal("environment SMTP_SERVER_HOSTNAME", Source(loaded, "server", "hostname"));
        Assert.Equal("config.toml:4", Source(loaded, "server", "max_recipients"));
        Assert.Equal("default", Source(loaded, "server", "commit_timeout"));
    }

    [Fact]
    public void Every_key_outside_of_arrays_has_an_environment_twin_that_works()
    {
        foreach (var (name, key) in ConfigSchema.Environment)
        {
            var text = ConfigLoader.LoadText("").Values.Single(v => v.Table == key.Table.Name && v.Key == key.Name).Value;
            var plain = text.Trim('[', ']').Replace("\"", "", StringComparison.Ordinal);
            if (plain.Length == 0)
            {
                continue;
            }

            var loaded = ConfigLoader.LoadText("", Environment((name, plain)));

            Assert.Empty(loaded.Problems);
            Assert.Equal($"environment {name}", Source(loaded, key.Table.Name, key.Name));
            Assert.Equal(text, loaded.Values.Single(v => v.Table == key.Table.Name && v.Key == key.Name).Value);
        }
    }

    [Fact]
    public void Limits_are_written_as_messages_and_a_window()
    {
        var loaded = ConfigLoader.LoadText(
            "[limits]\nmax_messages_per_address = \"100/1m\"\nmax_messages_per_user = \"\"\npolicy = \"share\"",
            Environment(("SMTP_LIMITS_MAX_MESSAGES_PER_SENDER_DOMAIN", "5000 / 1d")));

        Assert.Empty(loaded.Problems);
        Assert.Equal(
            [
                new LimitDefinition("messages-per-address", LimitKind.Rate, 100, 60_000, LimitPolicy.Share),
                new LimitDefinition("messages-per-sender-domain", LimitKind.Rate, 5000, 86_400_000, LimitPolicy.Share),
            ],
            LimitSettings.Of(loaded.Options));
        Assert.Equal("\"5000/1d\"", loaded.Values.Single(v => v.Key == "max_messages_per_sender_domain").Value);
        Assert.All((string[])["100", "x/1h", "0/1h", "5/40d", "5/0s", "-1/1h"], wrong =>
            Assert.Equal("limits.max_messages_per_user", Assert.Single(ConfigLoader.LoadText("", Environment(("SMTP_LIMITS_MAX_MESSAGES_PER_USER", wrong))).Problems).Key));
    }

    [Fact]
    public void Lists_of_the_environment_are_separated_by_commas()
    {
        var loaded = ConfigLoader.LoadText("", Environment(
            ("SMTP_SERVER_TRUSTED_NETWORKS", "127.0.0.0/8, ::1"),
            ("SMTP_QUEUE_RETRY_SCHEDULE", "1s,2m,1h30m")));

        Assert.Empty(loaded.Problems);
        Assert.Equal([IPNetwork.Parse("127.0.0.0/8"), IPNetwork.Parse("::1/128")], loaded.Options.Server.TrustedNetworks);
        Assert.Equal([TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(2), TimeSpan.FromMinutes(90)], loaded.Options.Queue.RetrySchedule);
    }

    [Fact]
    public void Everything_that_is_wrong_is_told_at_once()
    {
        const string File = """
            [server]
            port = 99999
            prot = 25
            trusted_networks = ["10.1.2.3/8"]

            [queue]
            expire_after = "5 fortnights"

            [servre]
            host = "::"

            [[routes]]
            transport = "pigeon"
            """;

        var loaded = ConfigLoader.LoadText(File, Environment(("SMTP_HTTP_PORT", "http")));

        Assert.Equal(
            [
                "config.toml:3: server.prot: is no key that there is. Did you mean port?",
                "config.toml:9: [servre]: is no table that there is. Did you mean server?",
                "config.toml:2: server.port = 99999: is not valid. It must be a whole number from 0 to 65535.",
                "config.toml:4: server.trusted_networks = \"10.1.2.3/8\": is not valid. It must be a network without bits beyond its prefix: \"10.0.0.0/8\".",
                "environment SMTP_HTTP_PORT: http.port = \"http\": is not valid. It must be a whole number.",
                "config.toml:7: queue.expire_after = \"5 fortnights\": is not valid. It must be a duration such as \"30s\", \"5m\", \"1h30m\" or \"5d\".",
                "config.toml:12: routes[1].match: is missing. Add a line match = …",
                "config.toml:13: routes[1].transport = \"pigeon\": is not valid. It must be one of \"mx\", \"smtp\", \"lmtp\", \"maildir\", \"discard\".",
            ],
            loaded.Problems.Select(problem => problem.ToString()));
    }

    [Fact]
    public void A_syntax_error_names_its_line()
    {
        var loaded = ConfigLoader.LoadText("[server]\nport = \n");

        Assert.NotEmpty(loaded.Problems);
        Assert.StartsWith("config.toml:2: TOML: ", loaded.Problems[0].ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Unknown_variables_are_one_warning_and_service_links_are_ignored()
    {
        var loaded = ConfigLoader.LoadText("", Environment(
            ("SMTP_PORT", "tcp://10.96.0.7:2525"),
            ("SMTP_PROT", "25"),
            ("SMTP_SERVICE_HOST", "10.96.0.7"),
            ("PATH", "/bin")));

        Assert.Empty(loaded.Problems);
        Assert.Equal(2525, loaded.Options.Server.Port);
        Assert.Equal(2, loaded.Warnings.Count);
        Assert.Contains("SMTP_PORT = tcp://10.96.0.7:2525 is ignored", loaded.Warnings[0], StringComparison.Ordinal);
        Assert.Contains("SMTP_PROT (did you mean SMTP_PORT?)", loaded.Warnings[1], StringComparison.Ordinal);
        Assert.Contains("SMTP_SERVICE_HOST", loaded.Warnings[1], StringComparison.Ordinal);
    }

    [Fact]
    public void Secrets_are_never_shown()
    {
        const string File = """
            [http]
            token = "a-token-that-nobody-may-see"

            [[routes]]
            match = "*"
            host = "relay.example"
            user = "me"
            password = "hunter2"

            [[users]]
            name = "alice"
            password_hash = "scram-sha-256$4096$MDEyMzQ1Njc4OWFiY2RlZg==$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
            addresses = ["alice@localhost"]
            """;

        var loaded = ConfigLoader.LoadText(File);

        Assert.Empty(loaded.Problems);
        Assert.Equal("hunter2", loaded.Options.Routes[0].Password);
        var shown = string.Join('\n', loaded.Values.Select(value => value.Value));
        Assert.DoesNotContain("nobody", shown, StringComparison.Ordinal);
        Assert.DoesNotContain("hunter2", shown, StringComparison.Ordinal);
        Assert.DoesNotContain("scram", shown, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", ConfigLoader.LoadText("[http]\ntoken = [\"secret\"]").Problems[0].ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Aliases_may_be_one_target_or_several_and_keep_strange_names()
    {
        const string File = """
            [aliases]
            "sales@localhost" = ["postmaster@localhost", "bob@example.org"]
            root = "postmaster"
            "@localhost" = "postmaster"
            """;

        var loaded = ConfigLoader.LoadText(File);

        Assert.Empty(loaded.Problems);
        Assert.Equal(["postmaster@localhost", "bob@example.org"], loaded.Options.Aliases["SALES@localhost"]);
        Assert.Equal(["postmaster"], loaded.Options.Aliases["root"]);
        Assert.Equal(["postmaster"], loaded.Options.Aliases["@localhost"]);
    }

    [Theory]
    [InlineData("[http]\nbind_address = \"0.0.0.0\"", "http.bind_address")]
    [InlineData("[http]\ntoken = \"short\"", "http.token")]
    [InlineData("[http]\nhealth_bind = \"8081\"", "http.health_bind")]
    [InlineData("[http]\nport = 2525", "http.port")]
    [InlineData("[tls]\ncert = \"/nowhere/cert.pem\"", "tls.key")]
    [InlineData("[tls]\ncert = \"/nowhere/cert.pem\"\nkey = \"/nowhere/key.pem\"", "tls.cert")]
    [InlineData("[[listeners]]\nport = 587", "listeners[1].role")]
    [InlineData("[[listeners]]\nport = 465\nrole = \"mx\"\ntls = \"implicit\"", "listeners[1].tls")]
    [InlineData("[[routes]]\nmatch = \"*\"\ntransport = \"smtp\"", "routes[1].host")]
    [InlineData("[[routes]]\nmatch = \"*\"\ntransport = \"mx\"\nhost = \"a.example\"", "routes[1].host")]
    [InlineData("[[routes]]\nmatch = \"a b\"\ntransport = \"mx\"", "routes[1].match")]
    [InlineData("[server]\ntrusted_networks = [\"0.0.0.0/0\"]", "server.trusted_networks")]
    [InlineData("[server]\ntrusted_networks = [\"::ffff:0.0.0.0/96\"]", "server.trusted_networks")]
    [InlineData("[server]\nproxy_from = [\"::/0\"]", "server.proxy_from")]
    [InlineData("[server]\nmax_line_length = 999", "server.max_line_length")]
    [InlineData("[server]\nrelay_domains = [\"localhost\"]", "server.relay_domains")]
    [InlineData("[server]\nhostname = \"\"", "server.hostname")]
    [InlineData("[delivery]\ndns_servers = [\"nine\"]", "delivery.dns_servers")]
    [InlineData("[[users]]\nname = \"x\"\npassword_hash = \"hunter2\"", "users[1].name")]
    [InlineData("[[users]]\nname = \"x\"\n[[users]]\nname = \"x\"", "users[1].name")]
    [InlineData("[[users]]\nname = \"x\"\naddresses = [\"x@elsewhere.example\"]", "users[1].name")]
    [InlineData("[aliases]\na = \"b\"\nb = \"a\"", "aliases.a")]
    [InlineData("[cluster]\npeers = [\"node2:x\"]", "cluster.peers")]
    [InlineData("[queue]\nretry_schedule = []", "queue.retry_schedule")]
    public void What_cannot_work_is_refused_at_start(string toml, string key)
    {
        var loaded = ConfigLoader.LoadText(toml);

        Assert.Equal(key, loaded.Problems[0].Key);
        Assert.StartsWith("config.toml:", loaded.Problems[0].Source, StringComparison.Ordinal);
        Assert.NotEmpty(loaded.Problems[0].Remedy);
    }

    [Theory]
    [InlineData("50MB", 50L << 20)]
    [InlineData("1 GB", 1L << 30)]
    [InlineData("100k", 100L << 10)]
    [InlineData("70000", 70_000)]
    public void Sizes_have_units(string text, long expected)
    {
        var loaded = ConfigLoader.LoadText($"[server]\nmax_message_size = \"{text}\"");

        Assert.Empty(loaded.Problems);
        Assert.Equal(expected, loaded.Options.Server.MaxMessageSize);
    }

    private static KeyValuePair<string, string>[] Environment(params (string Name, string Value)[] variables) =>
        [.. variables.Select(variable => KeyValuePair.Create(variable.Name, variable.Value))];

    private static string Source(LoadedConfig loaded, string table, string key) =>
        loaded.Values.Single(value => value.Table == table && value.Key == key).Source;
}
