using System.Globalization;
using System.Net;
using Quorumail.EndToEnd.Processes;
using Quorumail.Server.Torture;

namespace Quorumail.EndToEnd.Cluster;

/// <summary>How real servers find together, and what they say about it.</summary>
public sealed class FormationTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_of_three_founds_the_cluster_alone_only_when_it_is_told_to_and_the_others_join()
    {
        await using var cluster = new ClusterServers(3);
        await cluster.StartAsync(0);
        await Deadline.UntilAsync(
            () => cluster.OutputOf(0).Contains("Waits for all nodes that are listed", StringComparison.Ordinal),
            Limit,
            () => $"it does not say what it waits for.\n{cluster.Outputs}",
            Token);
        Assert.False(await cluster.TryPutAsync(0, "early", "1", Token));
        await cluster.KillAsync(0);

        await cluster.StartAsync(0, "--bootstrap");
        await cluster.UntilReadyAsync([0], Limit, Token);
        Assert.Contains("cluster.bootstrap", cluster.OutputOf(0), StringComparison.Ordinal);
        Assert.True(await cluster.TryPutAsync(0, "alone", "1", Token), cluster.Outputs);

        // Said again on a disk that belongs to a cluster, it changes nothing.
        await cluster.KillAsync(0);
        await cluster.StartAsync(0, "--bootstrap");
        await cluster.StartAsync(1);
        await cluster.StartAsync(2);
        await cluster.UntilReadyAsync([0, 1, 2], Limit, Token);
        await cluster.UntilWholeAsync(Limit, Token);
        Assert.Equal("1", await cluster.GetAsync(2, "alone", "linearizable", Token));
    }

    [Theory]
    [InlineData("smtp-cluster.example")]
    [InlineData("_cluster._tcp.smtp-cluster.example")]
    public async Task Three_nodes_that_are_told_a_name_alone_find_one_another_by_dns(string name)
    {
        await using var cluster = new ClusterServers(3);
        var byAddress = name[0] != '_';
        await using var dns = new DnsServer(
            byAddress ? Enumerable.Range(2, 3).Select(host => IPAddress.Parse(string.Create(CultureInfo.InvariantCulture, $"127.0.0.{host}"))) : [],
            byAddress ? [] : Enumerable.Range(0, 3).Select(i => ("localhost", cluster.ClusterPort(i))));
        for (var i = 0; i < 3; i++)
        {
            // A headless service has an address for each node, and one port; a service record brings ports.
            cluster.Configure(i, string.Create(CultureInfo.InvariantCulture, $"""
                bind_address = "{(byAddress ? $"127.0.0.{i + 2}" : "127.0.0.1")}"
                bind_port = {cluster.ClusterPort(byAddress ? 0 : i)}
                enable_auto_discovery = true
                discovery_name = "{name}"
                dns_servers = ["{dns.EndPoint}"]
                auth_token = "known-to-all-three"
                """));
            await cluster.StartAsync(i);
        }

        await cluster.UntilReadyAsync([0, 1, 2], TimeSpan.FromSeconds(90), Token);
        await cluster.UntilWholeAsync(Limit, Token);

        Assert.True(dns.Asked >= 9, $"{dns.Asked} questions");
        Assert.True(await cluster.TryPutAsync(0, "found", "1", Token), cluster.Outputs);
        Assert.Equal("1", await cluster.GetAsync(2, "found", "linearizable", Token));
    }

    [Fact]
    public async Task Two_nodes_start_with_a_warning_that_says_what_they_survive()
    {
        await using var cluster = new ClusterServers(2);
        await cluster.StartAllAsync(Limit, Token);

        await Deadline.UntilAsync(
            () => Enumerable.Range(0, 2).All(i => cluster.OutputOf(i).Contains("Two members: if either is lost, the cluster stops. Three survive the loss of one.", StringComparison.Ordinal)),
            Limit,
            () => $"they do not warn.\n{cluster.Outputs}",
            Token);

        await cluster.KillAsync(1);
        await Deadline.UntilAsync(
            async token => !await cluster.TryPutAsync(0, "alone", "1", token), Limit, () => $"one of two still writes.\n{cluster.Outputs}", Token);
    }
}
