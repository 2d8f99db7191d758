using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Limits;
using Quorumail.Server.Http;

namespace Quorumail.Server.Limits;

/// <summary>
/// The cluster's limits as this node uses them: takes what the log has granted, asks it for more ahead of use, and gives back
/// what is not wanted any more. While tokens are at hand, taking one costs a look into two tables. A server that stands alone
/// asks its own log. Safe for concurrent use.
/// </summary>
public sealed partial class SharedLimits : IAsyncDisposable
{
    /// <summary>As much as this node's view of cluster time may lag behind the leader's, in milliseconds.</summary>
    private const long Margin = 200;

    /// <summary>Tokens that nobody has wanted for so many milliseconds are given back.</summary>
    private const long IdleTime = 2000;

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly ReplicatedLimits _state;
    private readonly Func<LimitCommand, CancellationToken, ValueTask<LimitAnswer?>> _propose;
    private readonly Func<long> _clusterTime;
    private readonly string _nodeId;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly LimitLedger _ledger;
    private readonly Dictionary<(string Limit, string Key), TaskCompletionSource> _asked = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _tending;
    private readonly Task _tendingSlots;
    private LimitRules _known = LimitRules.None;

    /// <param name="state">What the log has made.</param>
    /// <param name="propose">Proposes a command and waits for the answer; null for an outcome that nobody knows.</param>
    /// <param name="clusterTime">Cluster time in milliseconds.</param>
    /// <param name="nodeId">This node.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">Told what the operator should know.</param>
    internal SharedLimits(
        ReplicatedLimits state, Func<LimitCommand, CancellationToken, ValueTask<LimitAnswer?>> propose, Func<long> clusterTime, string nodeId, TimeProvider time, ILogger log)
    {
        _state = state;
        _propose = propose;
        _clusterTime = clusterTime;
        _nodeId = nodeId;
        _time = time;
        _log = log;
        _ledger = new LimitLedger(nodeId, Margin);
        _tending = TendAsync(_stop.Token);
        _tendingSlots = TendSlotsAsync(_stop.Token);
    }

    /// <summary>Whether there are any limits: if not, nothing else need be asked.</summary>
    public bool AreAny => _state.Rules.Limits.Count > 0;

    /// <summary>Whether there is such a limit.</summary>
    public bool Has(string limit) => _state.Rules.Has(limit);

    /// <summary>Takes a token if that needs no waiting.</summary>
    /// <param name="limit">Which limit; one that there is not limits nothing.</param>
    /// <param name="key">Which key.</param>
    /// <param name="token">What was taken, to be put back if it is not used.</param>
    /// <param name="wait">Complete when it makes sense to try again; null unless the verdict is <see cref="LimitVerdict.Wait"/>.</param>
    /// <returns><see cref="LimitVerdict.Passed"/>, <see cref="LimitVerdict.Wait"/> or <see cref="LimitVerdict.Refused"/>.</returns>
    public LimitVerdict TryTake(string limit, string key, out LimitToken token, out Task? wait) => TryTake(limit, key, out token, out wait, out _);

    /// <summary>The same, telling when it makes sense to try again after <see cref="LimitVerdict.Refused"/>, in milliseconds of cluster time.</summary>
    [SuppressMessage("Usage", "VSTHRD003", Justification = "The task is handed out, not waited for.")]
    internal LimitVerdict TryTake(string limit, string key, out LimitToken token, out Task? wait, out long until)
    {
        lock (_lock)
        {
            var now = _clusterTime();
            Refresh(now);
            var decision = _ledger.Take(limit, key, now);
            token = decision.Token;
            until = decision.Until;
            wait = null;
            if (decision.Ask is WantTokensCommand want)
            {
                wait = BeginAskAsync((want.Limit, want.Key), asked => AskAsync(want, asked));
            }

            switch (decision.Verdict)
            {
                case LimitVerdict.Passed:
                    wait = null;
                    return LimitVerdict.Passed;
                case LimitVerdict.Refused:
                    Metrics.LimitRefusals.WithLabels(limit).Inc();
                    return LimitVerdict.Refused;
                case LimitVerdict.Wait:
                    wait = decision.Until == 0 && _asked.TryGetValue((limit, key), out var asked)
                        ? asked.Task
                        : Task.Delay(TimeSpan.FromMilliseconds(Math.Clamp(decision.Until - now, 1, 2 * Margin)), _time, _stop.Token);
                    return LimitVerdict.Wait;
                default:
                    return LimitVerdict.Wait;
            }
        }
    }

    /// <summary>Puts a token back that was taken and not used.</summary>
    public void PutBack(LimitToken token)
    {
        lock (_lock)
        {
            _ledger.PutBack(token, _clusterTime());
        }
    }

    /// <summary>Gives back what is at hand and asks for no more.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _tending;
        await _tendingSlots;
        using var late = new CancellationTokenSource(StopPatience, _time);
        await GiveBackAsync(idle: 0, late.Token);
        await TendNowAsync(idle: 0, late.Token);
        _stop.Dispose();
    }

    private void Refresh(long now)
    {
        var rules = _state.Rules;
        if (ReferenceEquals(rules, _known))
        {
            return;
        }

        foreach (var gone in _known.Limits)
        {
            if (!rules.Has(gone.Name))
            {
                _ledger.Remove(gone.Name);
            }
        }

        foreach (var limit in rules.Limits)
        {
            _ledger.Define(limit, now);
        }

        _ledger.Share(rules.MembersOf(_nodeId), now);
        _known = rules;
    }

    private Task BeginAskAsync((string Limit, string Key) key, Func<TaskCompletionSource, Task> ask)
    {
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _asked[key] = asked;

        // Not under the lock, and for all who wait: nobody's patience ends it.
        _ = Task.Run(() => ask(asked), CancellationToken.None);
        return asked.Task;
    }

    private async Task<LimitAnswer?> AskAsync(LimitCommand want, string limit)
    {
        try
        {
            return await ProposeAsync(want, Patience, _stop.Token);
        }
        catch (Exception failure)
        {
            // The log has failed, or the node stops: what may have been granted is given up.
            LogNotAsked(_log, limit, failure.Message);
            return null;
        }
    }

    private async Task AskAsync(WantTokensCommand want, TaskCompletionSource asked)
    {
        var answer = await AskAsync(want, want.Limit);
        lock (_lock)
        {
            _ledger.Answered(want, answer, _clusterTime());
            _asked.Remove((want.Limit, want.Key));
        }

        asked.TrySetResult();
    }

    private async ValueTask<LimitAnswer?> ProposeAsync(LimitCommand command, TimeSpan patience, CancellationToken token)
    {
        using var late = new CancellationTokenSource(patience, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, token);
        return await _propose(command, either.Token);
    }

    private async Task TendAsync(CancellationToken token)
    {
        try
        {
            using PeriodicTimer timer = new(Interval, _time);
            while (await timer.WaitForNextTickAsync(token))
            {
                if (_ledger.KeyCount > 0 || AreAny)
                {
                    await AdoptAsync(token);
                    await GiveBackAsync(IdleTime, token);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The node stops.
        }
    }

    // The members or the limits have changed: this node goes by its new shares as soon as the log knows that it does.
    private async ValueTask AdoptAsync(CancellationToken token)
    {
        var rules = _state.Rules;
        var members = rules.MemberCount;
        AdoptShareCommand? adopt = null;
        var shares = rules.KeptFor(_nodeId);
        if (rules.MembersOf(_nodeId) is var own && own > 0 && (own != members || shares > 0))
        {
            lock (_lock)
            {
                var now = _clusterTime();
                Refresh(now);
                adopt = _ledger.Adopt(members, now, shares);
                if (adopt is null)
                {
                    EndOwnSlots();
                }
            }
        }

        if (adopt is not null)
        {
            await TryProposeAsync(adopt, token);
        }
    }

    private async ValueTask GiveBackAsync(long idle, CancellationToken token)
    {
        IReadOnlyList<ReturnTokensCommand> back;
        lock (_lock)
        {
            back = _ledger.GiveBack(_clusterTime(), idle);
        }

        // Together, so that they share entries of the log.
        await Task.WhenAll(back.Select(command => TryProposeAsync(command, token)));
    }

    private async Task TryProposeAsync(LimitCommand command, CancellationToken token)
    {
        try
        {
            await ProposeAsync(command, Patience, token);
        }
        catch (Exception failure) when (failure is not OperationCanceledException || !token.IsCancellationRequested)
        {
            LogNotAsked(_log, command.GetType().Name, failure.Message);
        }
        catch (OperationCanceledException)
        {
            // The node stops; what was to be given back is over when its window is.
        }
    }

    [LoggerMessage(2, LogLevel.Error, "a connection whose slot of the limit {Limit} is lost failed in closing: {Reason}")]
    private static partial void LogNotClosed(ILogger log, string limit, string reason);

    [LoggerMessage(1, LogLevel.Warning, "the log could not be asked about the limit {Limit}: {Reason}")]
    private static partial void LogNotAsked(ILogger log, string limit, string reason);
}
