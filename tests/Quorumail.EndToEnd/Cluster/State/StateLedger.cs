using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Quorumail.Cluster.Tests.Linearizability;

namespace Quorumail.EndToEnd.Cluster.State;

/// <summary>
/// What clients were told while things went wrong, against what the nodes hold in the end. Keys that begin with
/// <see cref="OncePrefix"/> are written once, each with a value of its own; all others are registers that many share.
/// </summary>
internal sealed class StateLedger
{
    /// <summary>Of keys that are written once.</summary>
    public const string OncePrefix = "once/";

    private readonly ConcurrentQueue<StateCall> _calls = new();
    private readonly ConcurrentQueue<Isolation> _isolations = new();
    private readonly ConcurrentDictionary<(long Term, string Leader), bool> _leaders = new();

    /// <summary>All calls so far.</summary>
    public IReadOnlyCollection<StateCall> Calls => _calls;

    /// <summary>Adds a call that has ended.</summary>
    public void Add(StateCall call) => _calls.Enqueue(call);

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

    /// <summary>Some node has noted that a leader was elected.</summary>
    public void Led(long term, string leader) => _leaders[(term, leader)] = true;

    /// <summary>The longest time between acknowledged writes, from a moment to another.</summary>
    public TimeSpan LongestGap(long from, long to)
    {
        var longest = 0L;
        var last = from;
        foreach (var at in _calls.Where(call => call.IsAcknowledgedWrite).Select(call => call.Operation.Returned).Where(at => at > from && at < to).Order())
        {
            longest = Math.Max(longest, at - last);
            last = at;
        }

        return Stopwatch.GetElapsedTime(0, Math.Max(longest, to - last));
    }

    /// <summary>How long after a moment the first write was acknowledged that had begun after it; null: none was.</summary>
    public TimeSpan? FirstAcknowledged(long from, Func<StateCall, bool> among)
    {
        var ends = _calls
            .Where(call => call.IsAcknowledgedWrite && call.Operation.Called >= from && among(call))
            .Select(call => (long?)call.Operation.Returned)
            .Min();
        return ends is { } end ? Stopwatch.GetElapsedTime(from, end) : null;
    }

    /// <summary>Compares.</summary>
    /// <param name="nodes">What each node holds now that nothing is written any more: read after the last call has ended.</param>
    /// <param name="grace">How long after it lost its majority a node may still acknowledge.</param>
    public StateVerdict Settle(IReadOnlyList<IReadOnlyDictionary<string, StoredValue>> nodes, TimeSpan grace)
    {
        var calls = _calls.ToArray();
        List<string> lost = [];
        List<string> changed = [];
        List<string> phantoms = [];
        var unknownButThere = 0;
        foreach (var call in calls.Where(call => call.IsWrite && IsOnce(call.Operation.Key)))
        {
            for (var i = 0; i < nodes.Count; i++)
            {
                var stored = nodes[i].GetValueOrDefault(call.Operation.Key);
                var told = string.Create(CultureInfo.InvariantCulture, $"{call.Operation.Key} on node{i + 1}");
                switch (call.Operation.Outcome)
                {
                    case RegisterOutcome.Answered when stored is null:
                        lost.Add(told);
                        break;
                    case RegisterOutcome.Answered when stored.Version != call.Version:
                        changed.Add(string.Create(CultureInfo.InvariantCulture, $"{told} has version {stored.Version}, acknowledged was {call.Version}"));
                        break;
                    case RegisterOutcome.Refused when stored is not null:
                        phantoms.Add(told);
                        break;
                    case RegisterOutcome.Unknown when stored is not null:
                        unknownButThere += i == 0 ? 1 : 0;
                        break;
                }

                if (stored is not null && !string.Equals(stored.Value, call.Operation.Argument, StringComparison.Ordinal))
                {
                    changed.Add(told + " has another value");
                }
            }
        }

        return new StateVerdict
        {
            Acknowledged = calls.Count(call => call.IsAcknowledgedWrite),
            Refused = calls.Count(call => call.IsWrite && call.Operation.Outcome == RegisterOutcome.Refused),
            Unknown = calls.Count(call => call.IsWrite && call.Operation.Outcome == RegisterOutcome.Unknown),
            Reads = calls.Count(call => !call.IsWrite && call.IsAnswered),
            UnknownButThere = unknownButThere,
            Elections = _leaders.Keys.Select(led => led.Term).Distinct().Count(),
            Lost = lost,
            Changed = changed,
            Phantoms = phantoms,
            Diverged = Divergence(nodes),
            NotLinearizable = NotLinearizable(calls, nodes),
            TwoLeaders = [.. _leaders.Keys.GroupBy(led => led.Term).Where(term => term.Count() > 1)
                .Select(term => string.Create(CultureInfo.InvariantCulture, $"term {term.Key}: {string.Join(" and ", term.Select(led => led.Leader).Order(StringComparer.Ordinal))}"))],
            Late = LateAnswers(calls, grace),
            Unexpected = [.. calls.Where(call => call.IsUnexpected).Select(call => string.Create(CultureInfo.InvariantCulture, $"{call.Status} to {call.Operation}"))],
        };
    }

    private static bool IsOnce(string key) => key.StartsWith(OncePrefix, StringComparison.Ordinal);

    private static List<string> Divergence(IReadOnlyList<IReadOnlyDictionary<string, StoredValue>> nodes)
    {
        List<string> diverged = [];
        for (var i = 1; i < nodes.Count; i++)
        {
            foreach (var key in nodes[0].Keys.Union(nodes[i].Keys, StringComparer.Ordinal))
            {
                var (first, other) = (nodes[0].GetValueOrDefault(key), nodes[i].GetValueOrDefault(key));
                if (first != other)
                {
                    diverged.Add(string.Create(CultureInfo.InvariantCulture, $"{key}: node1 holds version {first?.Version}, node{i + 1} {other?.Version}"));
                }
            }
        }

        return diverged;
    }

    // What every node holds in the end is what a fresh read would answer.
    private static List<string> NotLinearizable(StateCall[] calls, IReadOnlyList<IReadOnlyDictionary<string, StoredValue>> nodes)
    {
        var now = Stopwatch.GetTimestamp();
        var registers = calls.Select(call => call.Operation).Where(operation => !IsOnce(operation.Key)).ToArray();
        var last =
            from key in registers.Select(operation => operation.Key).Distinct(StringComparer.Ordinal)
            from node in nodes
            select new RegisterOperation(key, RegisterAction.Read) { Client = "end", Result = node.GetValueOrDefault(key)?.Value, Called = now, Returned = now };
        return LinearizabilityChecker.FindViolation([.. registers, .. last]) is { } violation ? [violation] : [];
    }

    private List<string> LateAnswers(StateCall[] calls, TimeSpan grace) =>
        [.. from isolation in _isolations
            from call in calls
            where call.Node == isolation.Node && call.IsAnswered
                && Stopwatch.GetElapsedTime(isolation.From, call.Operation.Returned) > grace && call.Operation.Returned < isolation.Until
            select string.Create(
                CultureInfo.InvariantCulture,
                $"{call.Operation} was answered by node{call.Node + 1} {Stopwatch.GetElapsedTime(isolation.From, call.Operation.Returned).TotalSeconds:0.0} s after it lost its majority")];

    private sealed record Isolation(int Node, long From)
    {
        public long Until { get; set; } = long.MaxValue;
    }
}
