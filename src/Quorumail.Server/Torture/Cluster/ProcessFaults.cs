using System.Globalization;

namespace Quorumail.Server.Torture.Cluster;

/// <summary>
/// The faults of an own cluster. They are drawn like cards: each kind comes once, in an order that the seed decides, before any
/// comes again.
/// </summary>
internal sealed class ProcessFaults(OwnCluster cluster)
{
    /// <summary>The kind of the fault that costs nobody anything.</summary>
    public const string Graceful = "SIGTERM";

    private readonly Stack<Kind> _deck = new();

    private enum Kind
    {
        KillLeader,
        KillOthers,
        KillAll,
        PauseLeader,
        PauseOther,
        Stop,
    }

    /// <summary>Draws the next one.</summary>
    /// <param name="random">Of the run's seed.</param>
    /// <param name="leader">The index of the node that leads.</param>
    public TortureFault Draw(Random random, int leader)
    {
        var count = cluster.Nodes.Count;
        if (_deck.Count == 0)
        {
            Kind[] kinds = count > 1 ? Enum.GetValues<Kind>() : [Kind.KillAll, Kind.PauseLeader, Kind.Stop];
            random.Shuffle(kinds);
            Array.ForEach(kinds, _deck.Push);
        }

        // As many as may be lost without losing the majority.
        var spare = Math.Max(1, (count - 1) / 2);
        int[] others = [.. Enumerable.Range(0, count).Where(i => i != leader)];
        random.Shuffle(others);
        return _deck.Pop() switch
        {
            Kind.KillLeader => Kill("kill -9 of the leader", [leader], Span(random, 1, 4)),
            Kind.KillOthers when random.Next(1, spare + 1) is var n => Kill(n == 1 ? "kill -9 of a follower" : "kill -9 of some followers", others[..n], Span(random, 1, 4)),
            Kind.PauseLeader => Pause("SIGSTOP of the leader", leader, Span(random, 2, 6)),
            Kind.PauseOther => Pause("SIGSTOP of a follower", others[0], Span(random, 2, 6)),
            Kind.Stop => Stop(random.Next(count), Span(random, 0, 2)),
            _ => Kill(count > 1 ? "kill -9 of all at once" : "kill -9", [.. Enumerable.Range(0, count)], Span(random, 0, 2)),
        };
    }

    private static TimeSpan Span(Random random, double from, double to) => TimeSpan.FromSeconds(from + (random.NextDouble() * (to - from)));

    private TortureFault Kill(string kind, int[] victims, TimeSpan lasts) => New(kind, victims, lasts) with
    {
        BreakAsync = async _ => await Task.WhenAll(victims.Select(cluster.KillAsync)),
    };

    private TortureFault Stop(int victim, TimeSpan lasts) => New(Graceful, [victim], lasts) with
    {
        BreakAsync = async _ => await cluster.StopAsync(victim),
    };

    private TortureFault Pause(string kind, int victim, TimeSpan lasts) => New(kind, [victim], lasts) with
    {
        BreakAsync = _ =>
        {
            cluster.Pause(victim);
            return Task.CompletedTask;
        },
        MendAsync = _ =>
        {
            cluster.Resume(victim);
            return Task.CompletedTask;
        },
    };

    private TortureFault New(string kind, int[] victims, TimeSpan lasts) => new()
    {
        Kind = kind,
        Name = string.Create(CultureInfo.InvariantCulture, $"{kind} ({string.Join(", ", victims.Select(i => cluster.Nodes[i].Name))})"),
        IsStop = victims.Length > (cluster.Nodes.Count - 1) / 2,
        Lasts = lasts,
        BreakAsync = static _ => Task.CompletedTask,
        MendAsync = _ =>
        {
            Array.ForEach(victims, cluster.Start);
            return Task.CompletedTask;
        },
    };
}
