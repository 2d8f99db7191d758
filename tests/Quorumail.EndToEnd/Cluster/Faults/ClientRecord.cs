using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace Quorumail.EndToEnd.Cluster.Faults;

/// <summary>What clients were told by which node and when, and which nodes could not know better then.</summary>
internal abstract class ClientRecord
{
    private readonly ConcurrentQueue<Isolation> _isolations = new();

    /// <summary>What was answered well so far.</summary>
    public abstract IEnumerable<AnsweredCall> Answered { get; }

    /// <summary>Whether a node may have been lost to the others, with what it had under way.</summary>
    public bool MayHaveLostOwners { get; private set; }

    private IEnumerable<AnsweredCall> Writes => Answered.Where(call => call.IsWrite);

    /// <summary>From now on nodes may be lost to the others.</summary>
    public void MayLoseOwners() => MayHaveLostOwners = true;

    /// <summary>From now on, until <see cref="EndIsolations"/>, a node can't reach a majority.</summary>
    public void Isolate(int node) => _isolations.Enqueue(new Isolation(node, Stopwatch.GetTimestamp()));

    /// <summary>Whoever was isolated is so no more.</summary>
    public void EndIsolations()
    {
        foreach (var isolation in _isolations)
        {
            isolation.Until = Math.Min(isolation.Until, Stopwatch.GetTimestamp());
        }
    }

    /// <summary>The longest time between acknowledged writes, from a moment to another.</summary>
    public TimeSpan LongestGap(long from, long to) => Server.Torture.Ledger.LongestGap.Of(Writes.Select(call => call.Returned), from, to);

    /// <summary>How long after a moment the first write was acknowledged that had begun after it; null: none was.</summary>
    public TimeSpan? FirstAcknowledged(long from, Func<int, bool> byNode)
    {
        var ends = Writes.Where(call => call.Called >= from && byNode(call.Node)).Select(call => (long?)call.Returned).Min();
        return ends is { } end ? Stopwatch.GetElapsedTime(from, end) : null;
    }

    /// <summary>Answers of nodes that had lost their majority too long ago.</summary>
    /// <param name="grace">How long after it lost its majority a node may still answer.</param>
    public IReadOnlyList<string> LateAnswers(TimeSpan grace)
    {
        var answered = Answered.ToArray();
        return
        [
            .. from isolation in _isolations
               from call in answered
               where call.Node == isolation.Node
                   && Stopwatch.GetElapsedTime(isolation.From, call.Returned) > grace && call.Returned < isolation.Until
               select string.Create(
                   CultureInfo.InvariantCulture,
                   $"{call.What} was answered by node{call.Node + 1} {Stopwatch.GetElapsedTime(isolation.From, call.Returned).TotalSeconds:0.0} s after it lost its majority"),
        ];
    }

    private sealed record Isolation(int Node, long From)
    {
        public long Until { get; set; } = long.MaxValue;
    }
}
