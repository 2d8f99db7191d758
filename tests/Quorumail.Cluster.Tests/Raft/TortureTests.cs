using System.Globalization;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;
using Quorumail.Cluster.Tests.Network;

namespace Quorumail.Cluster.Tests.Raft;

/// <summary>
/// Random faults from a seed, under load on all nodes. QUORUMAIL_TORTURE_SECONDS makes it longer, QUORUMAIL_SEED repeats one.
/// </summary>
[Collection("clusters")] // One after the other: time-outs are short.
public sealed class TortureTests
{
    private readonly Lock _lock = new();
    private readonly Dictionary<int, ProposalOutcome> _outcomes = [];
    private readonly Dictionary<int, string> _reasons = [];
    private readonly List<(string Node, ClusterEvent Event)> _events = [];
    private string? _replaced;
    private Task _replacing = Task.CompletedTask;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <param name="size">Members.</param>
    /// <param name="replaces">Disks are lost, too, one after the other: the members change all the time.</param>
    [Theory]
    [InlineData(3, false)]
    [InlineData(5, false)]
    [InlineData(3, true)]
    [InlineData(5, true)]
    public async Task Nothing_acknowledged_is_lost_and_nothing_is_applied_twice_whatever_the_faults(int size, bool replaces)
    {
        int seed = Number("QUORUMAIL_SEED") ?? Environment.TickCount;
        TimeSpan span = TimeSpan.FromSeconds(Number("QUORUMAIL_TORTURE_SECONDS") ?? 8);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        Random random = new(seed);
        await using TestCluster cluster = await TestCluster.StartAsync(size, seed, o => o with { SnapshotEntries = 200, SegmentBytes = 4 << 20 });
        Array.ForEach(cluster.Nodes.Values.ToArray(), Watch);
        using CancellationTokenSource enough = CancellationTokenSource.CreateLinkedTokenSource(Token);
        int next = 0;
        Task load = Task.WhenAll(Enumerable.Range(0, 6).Select(worker => Task.Run(() => LoadAsync(cluster, worker, () => Interlocked.Increment(ref next), enough.Token), Token)));

        DateTime end = DateTime.UtcNow + span;
        string trace = string.Empty;
        while (DateTime.UtcNow < end)
        {
            trace += await FaultAsync(cluster, random, size, replaces) + "; ";
            await Task.Delay(random.Next(50, 900), Token);
            if (random.Next(3) == 0)
            {
                cluster.Network.Heal();
                trace += "heal; ";
            }
        }

        // The faults may have left no majority all the time; without them there must be one, and it must go on.
        cluster.Network.Heal();
        int before = AppliedCount();
        await Eventually.TrueAsync(() => AppliedCount() > before + 20, () => $"seed {seed}: {trace}\n{cluster.Describe()}", TimeSpan.FromSeconds(60));
        await enough.CancelAsync();
        await load;
        try
        {
            await _replacing;
            TestNode leader = await cluster.LeaderAsync();
            await leader.Node.ReadBarrierAsync(Token);
            await cluster.ConvergedAsync();
            Check(cluster, leader);
        }
        catch (Exception)
        {
            TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}: {trace}");
            throw;
        }
    }

    private static int? Number(string name) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out int number) ? number : null;

    private int AppliedCount()
    {
        lock (_lock)
        {
            return _outcomes.Count(o => o.Value == ProposalOutcome.Applied);
        }
    }

    private void Watch(TestNode node) => node.Node.Events.Noted += noted =>
    {
        lock (_lock)
        {
            _events.Add((node.Name, noted));
        }
    };

    private async Task LoadAsync(TestCluster cluster, int worker, Func<int> next, CancellationToken enough)
    {
        Random random = new(worker);
        while (!enough.IsCancellationRequested)
        {
            TestNode[] nodes;
            lock (cluster.Nodes)
            {
                nodes = [.. cluster.Nodes.Values];
            }

            int number = next();
            ProposalResult result = await nodes[random.Next(nodes.Length)].ProposeAsync(number, TimeSpan.FromMilliseconds(random.Next(20, 3000)));
            lock (_lock)
            {
                _outcomes[number] = result.Outcome;
                _reasons[number] = result.Reason ?? string.Empty;
            }

            if (result.Outcome == ProposalOutcome.Refused)
            {
                await Task.Delay(5, Token);
            }
        }
    }

    private async Task<string> FaultAsync(TestCluster cluster, Random random, int size, bool replaces)
    {
        string[] names = [.. cluster.Nodes.Keys.Order(StringComparer.Ordinal)];
        string one = names[random.Next(size)];
        string other = names[random.Next(size)];
        switch (random.Next(replaces ? 9 : 7))
        {
            case 0:
                cluster.Network.Isolate(one, silently: true);
                return $"isolate {one} silently";
            case 1:
                cluster.Network.Isolate(one, silently: false);
                return $"isolate {one}";
            case 2:
                cluster.Network.Cut(one, other);
                return $"cut {one}→{other}";
            case 3:
                cluster.Network.Disconnect(one, other);
                return $"disconnect {one} {other}";
            case 4:
                cluster.Network.Delay(one, other, TimeSpan.Zero, TimeSpan.FromMilliseconds(100));
                return $"delay {one}→{other}";
            case 5:
                _ = cluster.Nodes[one].Node.StartElectionAsync(Token).ContinueWith(static t => t.Exception, TaskScheduler.Default);
                return $"election by {one}";
            case > 6 when _replacing.IsCompleted:
                return await ReplaceAsync(cluster, one, names);
            case > 6:
            case 6 when !_replacing.IsCompleted && string.Equals(one, _replaced, StringComparison.Ordinal):
                return "nothing"; // A second disk is lost only when the first one is replaced.
            default:
                await cluster.StopAsync(one);
                await Task.Delay(random.Next(0, 400), Token);
                TestNode again;
                lock (cluster.Nodes)
                {
                    again = cluster.Add(one, names, cluster.Nodes[one].State.Reopen());
                }

                Watch(again);
                await again.StartAsync();
                return $"restart {one}";
        }
    }

    private async Task<string> ReplaceAsync(TestCluster cluster, string name, string[] names)
    {
        await cluster.StopAsync(name);
        TestNode anew;
        lock (cluster.Nodes)
        {
            cluster.Wipe(name);
            anew = cluster.Add(name, names);
        }

        Watch(anew);
        _replaced = name;
        _replacing = VoteAgainAsync();
        return $"replace {name}";

        async Task VoteAgainAsync()
        {
            await anew.StartAsync();
            await Eventually.TrueAsync(
                () => anew.Node.IsReady && anew.Node.Members.Count(m => m.IsVoter) == names.Length && anew.Node.Members.All(m => m.IsVoter),
                () => $"{name} is not a member again:\n{cluster.Describe()}",
                TimeSpan.FromSeconds(60));
        }
    }

    private void Check(TestCluster cluster, TestNode leader)
    {
        int[] numbers = leader.Numbers;
        HashSet<int> there = [.. numbers];
        Assert.Equal(numbers.Length, there.Count);
        lock (_lock)
        {
            int[] lost = [.. _outcomes.Where(o => o.Value == ProposalOutcome.Applied && !there.Contains(o.Key)).Select(o => o.Key)];
            Assert.Empty(lost);
            int[] refused = [.. _outcomes.Where(o => o.Value == ProposalOutcome.Refused && there.Contains(o.Key)).Select(o => o.Key)];
            Assert.True(refused.Length == 0, string.Join('\n', refused.Select(r => $"{r} was refused ({_reasons[r]}) and applied")));
            Assert.All(
                _events.Where(e => e.Event.Kind == ClusterEventKind.ElectionWon).GroupBy(e => e.Event.Term),
                term => Assert.Single(term.Select(e => e.Node).Distinct()));
        }

        Assert.All(cluster.Nodes.Values, n => Assert.Equal(numbers, n.Numbers));
        Assert.All(cluster.Nodes.Values, n => Assert.False(n.Node.Failed.IsCompleted));
    }
}
