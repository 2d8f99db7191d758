using Microsoft.Extensions.Logging;
using Quorumail.Core.Limits;

namespace Quorumail.Server.Limits;

/// <summary>
/// What the leader tells the log of limits for all: which there are, by its own configuration, and who shares them. Runs on every
/// node, and does nothing on those that don't lead.
/// </summary>
internal sealed partial class LimitDuties : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly ReplicatedLimits _state;
    private readonly IReadOnlyList<LimitDefinition> _wanted;
    private readonly Func<IReadOnlyList<string>> _members;
    private readonly Func<bool> _areKnown;
    private readonly Func<bool> _areSharesKept;
    private readonly Func<LimitCommand, CancellationToken, ValueTask<LimitAnswer?>> _propose;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _stop = new();
    private readonly HashSet<string> _busy = new(StringComparer.Ordinal);
    private readonly Task _running;

    /// <param name="state">What the log has made.</param>
    /// <param name="wanted">What the configuration says.</param>
    /// <param name="members">The members by name, if this node leads; empty if it does not.</param>
    /// <param name="areKnown">Whether every member's program knows limits.</param>
    /// <param name="areSharesKept">Whether every member's program keeps a node's share until it has adopted a smaller one.</param>
    /// <param name="propose">Proposes a command and waits for the answer; null for an outcome that nobody knows.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">Told what the operator should know.</param>
    public LimitDuties(
        ReplicatedLimits state,
        IReadOnlyList<LimitDefinition> wanted,
        Func<IReadOnlyList<string>> members,
        Func<bool> areKnown,
        Func<bool> areSharesKept,
        Func<LimitCommand, CancellationToken, ValueTask<LimitAnswer?>> propose,
        TimeProvider time,
        ILogger log)
    {
        _state = state;
        _wanted = wanted;
        _members = members;
        _areKnown = areKnown;
        _areSharesKept = areSharesKept;
        _propose = propose;
        _time = time;
        _log = log;
        _running = RunAsync(_stop.Token);
    }

    /// <summary>Whether the cluster's limits are those of this node's configuration.</summary>
    public bool IsSettled => _state.Rules.Limits.SequenceEqual(_wanted.OrderBy(limit => limit.Name, StringComparer.Ordinal));

    /// <summary>Waits until the limits of the configuration hold, for a bounded time: the leader may have another configuration.</summary>
    public async Task SettleAsync(CancellationToken token)
    {
        var since = _time.GetTimestamp();
        while (!IsSettled && _time.GetElapsedTime(since) < Patience)
        {
            await Task.Delay(Interval / 5, _time, token);
        }

        if (IsSettled)
        {
            return;
        }

        if (!_areKnown())
        {
            LogUnknown(_log, Describe(_wanted));
        }
        else
        {
            LogOther(_log, Describe(_state.Rules.Limits), Describe(_wanted));
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _stop.Dispose();
    }

    private static string Describe(IReadOnlyCollection<LimitDefinition> limits) =>
        limits.Count == 0 ? "none" : string.Join(", ", limits.Select(limit => $"{limit.Name} {limit.Capacity}"));

    private async Task RunAsync(CancellationToken token)
    {
        try
        {
            using PeriodicTimer timer = new(Interval, _time);
            do
            {
                if ((_wanted.Count > 0 || _state.Rules.Limits.Count > 0) && _members() is { Count: > 0 } members && _areKnown())
                {
                    await TellAsync(members, token);
                }
            }
            while (await timer.WaitForNextTickAsync(token));
        }
        catch (OperationCanceledException)
        {
            // The node stops.
        }
    }

    private async Task TellAsync(IReadOnlyList<string> members, CancellationToken token)
    {
        var rules = _state.Rules;
        var known = rules.Members.Where(member => member.Members > 0).Select(member => member.Node);
        if (!known.SequenceEqual(members.Order(StringComparer.Ordinal), StringComparer.Ordinal))
        {
            await ProposeAsync(new LimitNodesCommand([.. members]), token);
        }

        foreach (var limit in rules.Limits)
        {
            if (!_wanted.Any(wanted => string.Equals(wanted.Name, limit.Name, StringComparison.Ordinal)))
            {
                await ProposeAsync(new RemoveLimitCommand(limit.Name), token);
            }
        }

        var keepsShares = _areSharesKept();
        foreach (var limit in _wanted)
        {
            if (rules.Limits.Contains(limit) || (!keepsShares && LessensShares(rules, limit)))
            {
                continue;
            }

            if (await ProposeAsync(new DefineLimitCommand(limit, keepsShares), token) is { Status: LimitStatus.Busy } && _busy.Add(limit.Name))
            {
                LogBusy(_log, limit.Name);
            }
        }
    }

    // Nodes may have used their shares in this window: the others must not be granted them, and an older program would.
    private static bool LessensShares(LimitRules rules, LimitDefinition limit) =>
        rules.Limits.FirstOrDefault(before => string.Equals(before.Name, limit.Name, StringComparison.Ordinal)) is { } before
        && before.ReserveOf(1) > limit.ReserveOf(1);

    // What is not decided is found to be missing at the next look.
    private async ValueTask<LimitAnswer?> ProposeAsync(LimitCommand command, CancellationToken token)
    {
        using CancellationTokenSource late = new(Patience, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, token);
        return await _propose(command, either.Token);
    }

    [LoggerMessage(1, LogLevel.Warning, "the limit {Limit} keeps its old window until what was granted of it is over")]
    private static partial void LogBusy(ILogger log, string limit);

    [LoggerMessage(3, LogLevel.Warning, "the limits {Wanted} begin when every node's version knows them")]
    private static partial void LogUnknown(ILogger log, string wanted);

    [LoggerMessage(2, LogLevel.Warning, "the cluster's limits are {Present}, by the leader's configuration; this node's are {Wanted}: give all nodes the same")]
    private static partial void LogOther(ILogger log, string present, string wanted);
}
