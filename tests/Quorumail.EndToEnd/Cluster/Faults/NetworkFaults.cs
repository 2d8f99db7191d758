using Quorumail.EndToEnd.Cluster.Lab;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>Packets that are lost, late or doubled, always silently: nobody is told by a reset.</summary>
internal static class NetworkFaults
{
    private static readonly TimeSpan Flapping = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan OneWayGap = TimeSpan.FromSeconds(10);

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Fault> All { get; } =
    [
        Cut("leader-cut-off", "the leader reaches nobody and is reached by nobody: dead, without a reset", Isolate(scene => scene.Leader)) with { Lasts = TimeSpan.FromSeconds(5) },
        Cut("follower-cut-off", "a follower reaches nobody and is reached by nobody", Isolate(scene => scene.Follower)) with { KeepsLeader = true, Lasts = TimeSpan.FromSeconds(4) },
        Cut("each-alone", "no node reaches another one", Isolate(scene => scene.Leader, scene => scene.Follower, scene => scene.Other)) with { StopsAll = true, Lasts = TimeSpan.FromSeconds(4) },
        Cut("leader-link", "the link between the leader and one follower is cut; both reach the other follower", scene => scene.Lab.Network.Cut(scene.Leader, scene.Follower)) with { KeepsLeader = true, Lasts = TimeSpan.FromSeconds(4) },
        Cut("follower-link", "the link between both followers is cut", scene => scene.Lab.Network.Cut(scene.Follower, scene.Other)) with { LosesNobody = true, KeepsLeader = true, IsVariant = true },
        Cut("leader-mute", "what the leader sends is lost, it still hears", Isolate(scene => scene.Leader, sends: true)) with { GapMax = OneWayGap, Lasts = TimeSpan.FromSeconds(5) },
        Cut("leader-deaf", "what is sent to the leader is lost, it still speaks", Isolate(scene => scene.Leader, sends: false)) with { GapMax = OneWayGap, Lasts = TimeSpan.FromSeconds(6) },
        Cut("follower-mute", "what a follower sends is lost", Isolate(scene => scene.Follower, sends: true)) with { KeepsLeader = true, Lasts = TimeSpan.FromSeconds(3), IsVariant = true },
        Cut("follower-deaf", "what is sent to a follower is lost", Isolate(scene => scene.Follower, sends: false)) with { KeepsLeader = true, Lasts = TimeSpan.FromSeconds(3), IsVariant = true },
        Cut("one-way-to-follower", "what the leader sends to one follower is lost", scene => scene.Lab.Network.CutOneWay(scene.Leader, scene.Follower)) with { KeepsLeader = true, Lasts = TimeSpan.FromSeconds(3) },
        Cut("one-way-from-follower", "what one follower sends to the leader is lost", scene => scene.Lab.Network.CutOneWay(scene.Follower, scene.Leader)) with { KeepsLeader = true, Lasts = TimeSpan.FromSeconds(3), IsVariant = true },
        Cut("leader-minority", "the leader and as many followers as make no majority with it reach one another and nobody else", scene => Split(scene, [scene.Leader, .. scene.Followers.Take(((scene.Lab.Nodes.Count - 1) / 2) - 1)])) with { IsVariant = true },
        Cut("halves", "the nodes are split in two, as is drawn", Halve) with { IsVariant = true },
        Cut("one-way-halves", "what one part of the nodes sends to the other is lost, as is drawn", scene => CutOneWay(scene, DrawPart(scene))) with { GapMax = OneWayGap, IsVariant = true },
        Cut("bridge", "the nodes are split in two, and one reaches all", Bridge) with { GapMax = OneWayGap, IsVariant = true },
        Cut("ring", "each node reaches its two neighbours and nobody else", Ring) with { GapMax = OneWayGap, IsVariant = true },
        Cut("flapping", "the leader is cut off for 0.4 s, reached for 0.4 s, and so on", Flap) with { GapMax = OneWayGap },
        Slow("late-50ms", "every packet is 50 ms late", link => link with { Delay = TimeSpan.FromMilliseconds(50), Jitter = TimeSpan.FromMilliseconds(10) }) with { LosesNobody = true, KeepsLeader = true },
        Slow("late-300ms", "every packet is 300 ms late, give or take 100", link => link with { Delay = TimeSpan.FromMilliseconds(300), Jitter = TimeSpan.FromMilliseconds(100) }) with { GapMax = OneWayGap, IsVariant = true },
        Slow("late-2s", "every packet is 2 s late", link => link with { Delay = TimeSpan.FromSeconds(2) }) with { StopsAll = true, IsVariant = true },
        Slow("narrow", "500 kB a second go over each link", link => link with { BytesPerSecond = 500_000 }) with { GapMax = OneWayGap, IsVariant = true },
        Slow("loss-1", "one packet of 100 is lost", link => link with { Loss = 0.01 }) with { KeepsLeader = true },
        Slow("loss-20", "one packet of 5 is lost", link => link with { Loss = 0.2 }) with { GapMax = OneWayGap },
        Slow("doubled", "one packet of 4 comes twice, and later ones overtake", link => link with { Duplicates = 0.25, Delay = TimeSpan.FromMilliseconds(5), Jitter = TimeSpan.FromMilliseconds(5) }) with { LosesNobody = true, KeepsLeader = true, IsVariant = true },
    ];

    private static Fault Cut(string name, string does, Action<FaultScene> begin) =>
        new(name, does, "the network is whole again", scene =>
        {
            scene.Undo(scene.Lab.Network.Heal);
            begin(scene);
            return Task.CompletedTask;
        })
        {
            IsOfNetwork = true,
        };

    private static Fault Slow(string name, string does, Func<LinkFault, LinkFault> change) => Cut(name, does, scene => scene.Lab.Network.ChangeAll(change));

    private static Action<FaultScene> Isolate(params Func<FaultScene, int>[] nodes) => scene =>
    {
        foreach (var node in nodes.Select(choose => choose(scene)))
        {
            scene.Lab.Network.Isolate(node);
            scene.Record.Isolate(node);
        }
    };

    // One way only; without answers no majority is to be had either.
    private static Action<FaultScene> Isolate(Func<FaultScene, int> choose, bool sends) => scene =>
    {
        var node = choose(scene);
        foreach (var other in Enumerable.Range(0, scene.Lab.Nodes.Count).Where(other => other != node))
        {
            scene.Lab.Network.CutOneWay(sends ? node : other, sends ? other : node);
        }

        scene.Record.Isolate(node);
    };

    private static void Halve(FaultScene scene) => Split(scene, DrawPart(scene));

    // At least one node, and at most half of them.
    private static int[] DrawPart(FaultScene scene)
    {
        int[] all = [.. Enumerable.Range(0, scene.Lab.Nodes.Count)];
        scene.Random.Shuffle(all);
        return all[..scene.Random.Next(1, (all.Length / 2) + 1)];
    }

    // The smaller part has no majority.
    private static void Split(FaultScene scene, int[] part)
    {
        CutOneWay(scene, part);
        CutOneWay(scene, [.. Rest(scene, part)]);
        Array.ForEach(part, scene.Record.Isolate);
    }

    private static void CutOneWay(FaultScene scene, int[] from)
    {
        foreach (var (one, other) in from.SelectMany(one => Rest(scene, from).Select(other => (one, other))))
        {
            scene.Lab.Network.CutOneWay(one, other);
        }
    }

    private static IEnumerable<int> Rest(FaultScene scene, int[] part) => Enumerable.Range(0, scene.Lab.Nodes.Count).Except(part);

    private static void Bridge(FaultScene scene)
    {
        int[] all = [.. Enumerable.Range(0, scene.Lab.Nodes.Count)];
        scene.Random.Shuffle(all);
        var half = all.Length / 2;
        foreach (var (one, other) in all[..half].SelectMany(one => all[(half + 1)..].Select(other => (one, other))))
        {
            scene.Lab.Network.Cut(one, other);
        }
    }

    private static void Ring(FaultScene scene)
    {
        var count = scene.Lab.Nodes.Count;
        foreach (var (one, other) in from one in Enumerable.Range(0, count) from other in Enumerable.Range(0, one) where one - other > 1 && one - other < count - 1 select (one, other))
        {
            scene.Lab.Network.Cut(one, other);
        }
    }

    private static void Flap(FaultScene scene)
    {
        var enough = new CancellationTokenSource();
        var flapping = FlapAsync(scene, enough.Token);
        scene.Undo(async () =>
        {
            await enough.CancelAsync();
            await flapping;
            enough.Dispose();
            scene.Lab.Network.Heal();
        });
    }

    private static async Task FlapAsync(FaultScene scene, CancellationToken enough)
    {
        using var timer = new PeriodicTimer(Flapping);
        try
        {
            while (true)
            {
                scene.Lab.Network.Isolate(scene.Leader);
                await timer.WaitForNextTickAsync(enough);
                scene.Lab.Network.Heal();
                await timer.WaitForNextTickAsync(enough);
            }
        }
        catch (OperationCanceledException)
        {
            // The fault is over.
        }
    }
}
