using System.Runtime.CompilerServices;
using System.Text;
using Quorumail.Cluster.Log;
using Quorumail.Core.Cluster.State;

namespace Quorumail.Cluster.State;

/// <summary>
/// Keys and values that all nodes share. A write is answered when a majority has it on disk and this node has applied it; it
/// works from every node. Reads choose how fresh they must be. Safe for concurrent use.
/// </summary>
public sealed class StateStore : IAsyncDisposable
{
    private const int ChangesPerRead = 256;

    private readonly StateStoreState _state;
    private readonly IStateProposer _log;
    private readonly StateStoreOptions _options;
    private readonly StateLimits _limits;
    private readonly ReplicationCounters _counters;
    private readonly TimeProvider _time;
    private readonly SemaphoreSlim _buffer;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _sweeping;

    internal StateStore(StateStoreState state, IStateProposer log, StateStoreOptions options, ReplicationCounters counters, TimeProvider time)
    {
        _state = state;
        _log = log;
        _options = options;
        _limits = state.Read(read => read.Limits);
        _counters = counters;
        _time = time;
        _buffer = new SemaphoreSlim(options.BufferSize);
        _sweeping = SweepAsync();
    }

    /// <summary>Figures of the replication.</summary>
    public ReplicationStats Stats => _counters.Stats;

    /// <summary>Keys on this node.</summary>
    public int Count => _state.Read(state => state.Count);

    /// <summary>Bytes of keys and values on this node, with what they cost in memory.</summary>
    public long Bytes => _state.Read(state => state.Bytes);

    /// <summary>Sets a key and returns its version.</summary>
    /// <param name="key">1 to 512 bytes of text in UTF-8.</param>
    /// <param name="value">At most 256 KiB.</param>
    /// <param name="timeToLive">After which cluster time, counted from the commit, the key is gone; null: never.</param>
    /// <param name="token">Ends the waiting; the write may still happen.</param>
    /// <exception cref="StateException">It was refused, or its outcome is unknown.</exception>
    public async ValueTask<long> SetAsync(
        string key, ReadOnlyMemory<byte> value, TimeSpan? timeToLive = null, CancellationToken token = default) =>
        (await WriteAsync(new StateCommand(StateAction.Set, key) { Value = value, TimeToLive = Milliseconds(timeToLive) }, token)).Version;

    /// <summary>Sets a key to a text in UTF-8 and returns its version.</summary>
    /// <inheritdoc cref="SetAsync(string, ReadOnlyMemory{byte}, TimeSpan?, CancellationToken)"/>
    public ValueTask<long> SetAsync(string key, string value, TimeSpan? timeToLive = null, CancellationToken token = default) =>
        SetAsync(key, Encoding.UTF8.GetBytes(value), timeToLive, token);

    /// <summary>Reads a key; null if it is not there.</summary>
    /// <exception cref="StateException">The read can't be as fresh as asked for.</exception>
    public async ValueTask<StateEntry?> GetAsync(
        string key, ReadConsistency consistency = ReadConsistency.Local, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(key);
        await MakeFreshAsync(consistency, token);
        return _state.Get(key, _log.ClusterTime);
    }

    /// <summary>Reads a key as text in UTF-8; null if it is not there.</summary>
    /// <exception cref="StateException">The read can't be as fresh as asked for.</exception>
    public async ValueTask<string?> GetStringAsync(
        string key, ReadConsistency consistency = ReadConsistency.Local, CancellationToken token = default) =>
        await GetAsync(key, consistency, token) is { } entry ? Encoding.UTF8.GetString(entry.Value.Span) : null;

    /// <summary>Deletes a key; false if there was none. It never comes back unless somebody sets it again.</summary>
    /// <exception cref="StateException">It was refused, or its outcome is unknown.</exception>
    public async ValueTask<bool> DeleteAsync(string key, CancellationToken token = default) =>
        (await WriteAsync(new StateCommand(StateAction.Delete, key), token)).Status == StateStatus.Done;

    /// <summary>Sets a key if it has this version; 0: if there is no such key.</summary>
    /// <exception cref="StateException">It was refused, or its outcome is unknown.</exception>
    public async ValueTask<StateWrite> CompareAndSetAsync(
        string key, long expectedVersion, ReadOnlyMemory<byte> value, TimeSpan? timeToLive = null, CancellationToken token = default) =>
        Conditional(await WriteAsync(
            new StateCommand(StateAction.Set, key)
            {
                Condition = StateCondition.Version,
                Expected = expectedVersion,
                Value = value,
                TimeToLive = Milliseconds(timeToLive),
            },
            token));

    /// <summary>Sets a key if it has this value.</summary>
    /// <exception cref="StateException">It was refused, or its outcome is unknown.</exception>
    public async ValueTask<StateWrite> CompareAndSetAsync(
        string key, ReadOnlyMemory<byte> expectedValue, ReadOnlyMemory<byte> value, TimeSpan? timeToLive = null, CancellationToken token = default) =>
        Conditional(await WriteAsync(
            new StateCommand(StateAction.Set, key)
            {
                Condition = StateCondition.Value,
                ExpectedValue = expectedValue,
                Value = value,
                TimeToLive = Milliseconds(timeToLive),
            },
            token));

    /// <summary>Deletes a key if it has this version.</summary>
    /// <exception cref="StateException">It was refused, or its outcome is unknown.</exception>
    public async ValueTask<StateWrite> CompareAndDeleteAsync(string key, long expectedVersion, CancellationToken token = default) =>
        Conditional(await WriteAsync(
            new StateCommand(StateAction.Delete, key) { Condition = StateCondition.Version, Expected = expectedVersion }, token));

    /// <summary>Lists the keys that begin with a prefix, in ordinal order, a page at a time.</summary>
    /// <param name="prefix">May be empty.</param>
    /// <param name="after">The <see cref="StatePage.NextKey"/> of the page before; null for the first.</param>
    /// <param name="limit">Keys on the page at most, up to 1000.</param>
    /// <param name="consistency">How fresh.</param>
    /// <param name="token">Ends the waiting.</param>
    /// <exception cref="StateException">The read can't be as fresh as asked for.</exception>
    public async ValueTask<StatePage> ListAsync(
        string prefix, string? after = null, int limit = 100, ReadConsistency consistency = ReadConsistency.Local, CancellationToken token = default)
    {
        await MakeFreshAsync(consistency, token);
        return _state.Read(state => state.List(prefix, after, limit, _log.ClusterTime));
    }

    /// <summary>
    /// Follows the changes of the keys that begin with a prefix, as this node applies them, in order and without a gap. To
    /// follow a list, watch from the version after its first page's.
    /// </summary>
    /// <param name="prefix">May be empty.</param>
    /// <param name="fromVersion">The first version wanted; null: from the next change on.</param>
    /// <param name="token">Ends the watching.</param>
    /// <exception cref="StateException"><see cref="StateFault.WatchLagged"/>: some changes are no longer kept.</exception>
    public async IAsyncEnumerable<StateChange> WatchAsync(
        string prefix, long? fromVersion = null, [EnumeratorCancellation] CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(prefix);
        long version = fromVersion ?? _state.Read(state => state.Version + 1);
        while (true)
        {
            StateChanges changes = _state.Changes(prefix, version, ChangesPerRead, out Task more);
            if (changes.IsLagging)
            {
                throw new StateException(
                    StateFault.WatchLagged, $"The changes from version {version} on are no longer kept: list anew, and watch from there.");
            }

            foreach (StateChange change in changes.Changes)
            {
                yield return change;
            }

            version = changes.NextVersion;
            if (changes.Changes.Count == 0)
            {
                await more.WaitAsync(token);
            }
        }
    }

    /// <summary>Ends the removing of expired keys. Writes under way end as the log answers them.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _sweeping;
        _stop.Dispose();
    }

    /// <summary>
    /// Takes a change in the guide's own form (frame type 2): through the log like every other, and only if no later one has
    /// been made.
    /// </summary>
    internal async ValueTask<StateWrite> TakeUpdateAsync(string key, string value, long timestamp, bool isDeleted, CancellationToken token) =>
        Conditional(await WriteAsync(
            new StateCommand(isDeleted ? StateAction.Delete : StateAction.Set, key)
            {
                Value = Encoding.UTF8.GetBytes(value),
                Condition = StateCondition.NotOlder,
                Expected = timestamp,
            },
            token));

    private static StateWrite Conditional(StateAnswer answer) => new(answer.Status == StateStatus.Done, answer.Version);

    private static long Milliseconds(TimeSpan? timeToLive) => timeToLive switch
    {
        null => 0,
        { } span when span < TimeSpan.FromMilliseconds(1) =>
            throw new StateException(StateFault.InvalidTimeToLive, "A time to live is at least a millisecond."),
        { } span => (long)span.TotalMilliseconds,
    };

    private async ValueTask<StateAnswer> WriteAsync(StateCommand command, CancellationToken token)
    {
        Check(command);
        byte[] encoded = StateCommandFormat.Encode(command);
        long began = _time.GetTimestamp();
        using CancellationTokenSource bound = new(_options.WriteTimeout, _time);
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(bound.Token, token);
        _counters.Began();
        try
        {
            await WaitForTurnAsync(linked.Token, token);
            ProposalResult result;
            try
            {
                result = await _log.ProposeAsync(encoded, linked.Token);
            }
            finally
            {
                _buffer.Release();
            }

            if (result.Outcome != ProposalOutcome.Applied)
            {
                _counters.Failed();
                token.ThrowIfCancellationRequested();
                throw result.Outcome == ProposalOutcome.Refused
                    ? new StateException(StateFault.Unavailable, result.Reason ?? "No leader.")
                    : new StateException(StateFault.Unknown, result.Reason ?? "Whether the write has happened is unknown.");
            }

            _counters.Committed(_time.GetElapsedTime(began));
            return Answered(StateCommandFormat.DecodeAnswer(result.Value.Span));
        }
        finally
        {
            _counters.Ended();
        }
    }

    private async ValueTask WaitForTurnAsync(CancellationToken bound, CancellationToken token)
    {
        try
        {
            await _buffer.WaitAsync(bound);
        }
        catch (OperationCanceledException late) when (!token.IsCancellationRequested)
        {
            _counters.Failed();
            throw new StateException(
                StateFault.Unavailable,
                $"{_options.BufferSize} updates wait already, and none ended within {_options.WriteTimeout.TotalSeconds} s: nothing was changed.",
                late);
        }
    }

    private void Check(StateCommand command)
    {
        if (StateKey.Fault(command.Key, _limits) is { } fault)
        {
            throw new StateException(StateFault.InvalidKey, fault);
        }

        if (command.Value.Length > _limits.ValueMax || command.ExpectedValue.Length > _limits.ValueMax)
        {
            throw new StateException(StateFault.ValueTooLarge, $"a value has at most {_limits.ValueMax} bytes");
        }

        if (command.TimeToLive > _limits.TimeToLiveMax)
        {
            throw new StateException(StateFault.InvalidTimeToLive, $"a time to live is at most {_limits.TimeToLiveMax} ms");
        }
    }

    private StateAnswer Answered(StateAnswer answer) => answer.Status switch
    {
        StateStatus.Done or StateStatus.ConditionFailed or StateStatus.NotFound => answer,
        StateStatus.Full => throw new StateException(StateFault.Full, $"the store is full ({_limits.TotalMax} bytes): delete something first"),
        StateStatus.InvalidKey => throw new StateException(StateFault.InvalidKey, "the key was refused"),
        StateStatus.ValueTooLarge => throw new StateException(StateFault.ValueTooLarge, "the value was refused"),
        _ => throw new StateException(StateFault.Unavailable, "the command was not understood by every node"),
    };

    private async ValueTask MakeFreshAsync(ReadConsistency consistency, CancellationToken token)
    {
        if (consistency == ReadConsistency.Local || (consistency == ReadConsistency.Leader && _log.Leads))
        {
            return;
        }

        using CancellationTokenSource bound = new(_options.ReadTimeout, _time);
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(bound.Token, token);
        try
        {
            await _log.ReadBarrierAsync(linked.Token);
        }
        catch (Exception problem) when (!token.IsCancellationRequested)
        {
            throw new StateException(
                StateFault.Unavailable,
                problem is OperationCanceledException ? "No majority has answered in time." : problem.Message,
                problem);
        }
    }

    // Every command removes expired keys. Where none comes, the leader sends one, so that memory is freed and watchers are told.
    private async Task SweepAsync()
    {
        using PeriodicTimer timer = new(_options.SweepInterval, _time);
        byte[] sweep = StateCommandFormat.Encode(new StateCommand(StateAction.Sweep, ""));
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                if (_log.Leads && _state.Read(state => state.HasExpired(_log.ClusterTime)))
                {
                    using CancellationTokenSource bound = new(_options.WriteTimeout, _time);
                    using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(bound.Token, _stop.Token);
                    await _log.ProposeAsync(sweep, linked.Token);
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Told to end.
        }
    }
}
