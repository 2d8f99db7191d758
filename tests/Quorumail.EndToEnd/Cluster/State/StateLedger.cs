using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Quorumail.Cluster.Tests.Linearizability;
using Quorumail.EndToEnd.Cluster.Faults;

namespace Quorumail.EndToEnd.Cluster.State;

/// <summary>
/// What clients were told while things went wrong, against what the nodes hold in the end. Keys that begin with
/// <see cref="OncePrefix"/> are written once, each with a value of its own; all others are registers that many share.
/// </summary>
internal sealed class StateLedger : ClientRecord
{
    /// <summary>Of keys that are written once.</summary>
    public const string OncePrefix = "once/";

    private readonly ConcurrentQueue<StateCall> _calls = new();
    private readonly ConcurrentDictionary<(long Term, string Leader), bool> _leaders = new();

    /// <inheritdoc/>
    public override IEnumerable<AnsweredCall> Answered => _calls
        .Where(call => call.IsAnswered)
        .Select(call => new AnsweredCall(call.Node, call.Operation.Called, call.Operation.Returned, call.IsWrite, call.Operation));

    /// <summary>All calls so far.</summary>
    public IReadOnlyCollection<StateCall> Calls => _calls;

    /// <summary>Adds a call that has ended.</summary>
    public void Add(StateCall call) => _calls.Enqueue(call);

    /// <summary>Some node has noted that a leader was elected.</summary>
    public void Led(long term, string leader) => _leaders[(term, leader)] = true;

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
            Late = LateAnswers(grace),
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
}
