using Quorumail.Cluster.Log;
using Quorumail.Core.Cluster.State;

namespace Quorumail.Cluster.State;

/// <summary>
/// Shared state as a state of the replicated log: in memory, with a file of its own that holds it as of some index. The log
/// applies what came later again after a start, and forgets nothing that the file lacks.
/// </summary>
internal sealed class StateStoreState : IReplicatedState, IAsyncDisposable
{
    /// <summary>Up to this size the file is written while the log waits: a few milliseconds.</summary>
    private const long SmallBytes = 1 << 20;

    /// <summary>Flushes that may pass before a larger store is written again, however little has changed: bounds what the log must keep.</summary>
    private const int FlushesPerWrite = 8;

    private readonly Lock _gate = new();
    private readonly StateFile _file;
    private readonly ReplicationCounters _counters;
    private readonly List<StateCommand?> _commands = [];
    private readonly StateLimits _limits;
    private SharedState _state;
    private TaskCompletionSource _changed = NewSignal();
    private long _appliedIndex;
    private long _durableIndex;
    private long _bytesSinceWrite;
    private int _flushesSinceWrite;
    private Task<long> _writing;

    private StateStoreState(StateFile file, SharedState state, long index, ReplicationCounters counters)
    {
        _file = file;
        _state = state;
        _limits = state.Limits;
        _counters = counters;
        _appliedIndex = index;
        _durableIndex = index;
        _writing = Task.FromResult(index);
    }

    /// <inheritdoc/>
    public long AppliedIndex => Interlocked.Read(ref _appliedIndex);

    /// <summary>Reads the store back.</summary>
    /// <param name="directory">Its own directory; created if it does not exist.</param>
    /// <param name="counters">Counts what is applied.</param>
    /// <param name="limits">The same on all members; null for the defaults.</param>
    /// <param name="token">Ends the reading.</param>
    /// <exception cref="InvalidDataException">The file is damaged; the message says what to do.</exception>
    public static async Task<StateStoreState> OpenAsync(
        string directory, ReplicationCounters counters, StateLimits? limits, CancellationToken token)
    {
        Directory.CreateDirectory(directory);
        StateFile file = new(Path.Combine(directory, "state"));
        (SharedState state, long index) = await file.ReadAsync(limits ?? new StateLimits(), token);
        return new StateStoreState(file, state, index, counters);
    }

    /// <summary>Reads under the lock; must be short.</summary>
    public T Read<T>(Func<SharedState, T> read)
    {
        lock (_gate)
        {
            return read(_state);
        }
    }

    /// <summary>The key, if it is there at this cluster time.</summary>
    public StateEntry? Get(string key, long now)
    {
        lock (_gate)
        {
            return _state.TryGet(key, now, out StateEntry? entry) ? entry : null;
        }
    }

    /// <summary>Reads changes, and what will complete when there are more.</summary>
    public StateChanges Changes(string prefix, long fromVersion, int limit, out Task more)
    {
        lock (_gate)
        {
            more = _changed.Task;
            return _state.Changes(prefix, fromVersion, limit);
        }
    }

    /// <inheritdoc/>
    public void Apply(long index, long stamp, IReadOnlyList<ReadOnlyMemory<byte>> commands, Span<ReadOnlyMemory<byte>> answers)
    {
        ArgumentNullException.ThrowIfNull(commands);
        _commands.Clear();
        long bytes = 0;
        for (int i = 0; i < commands.Count; i++)
        {
            // To take it for a malformed one would make this node's state another than that of a node that reads it.
            if (!commands[i].IsEmpty && commands[i].Span[0] > StateCommandFormat.Version)
            {
                throw new LogFormatException(
                    $"The log holds a command of the shared state of format {commands[i].Span[0]}; this version reads format {StateCommandFormat.Version}. Start a version that reads it.");
            }

            _commands.Add(StateCommandFormat.Decode(commands[i]));
            bytes += commands[i].Length;
        }

        TaskCompletionSource? changed = null;
        lock (_gate)
        {
            long version = _state.Version;
            _state.RemoveExpired(stamp);
            for (int i = 0; i < _commands.Count; i++)
            {
                answers[i] = StateCommandFormat.Encode(_state.Apply(_commands[i], stamp));
            }

            Interlocked.Exchange(ref _appliedIndex, index);
            _bytesSinceWrite += bytes;
            if (_state.Version != version)
            {
                (changed, _changed) = (_changed, NewSignal());
            }
        }

        _counters.Applied(commands.Count);
        changed?.TrySetResult();
    }

    /// <summary>
    /// Makes the store durable, and returns the index up to which it is. A small store is written at once. A large one is
    /// written beside the applying, when the log has grown by as much as the store holds; then the index returned is that of an
    /// earlier write.
    /// </summary>
    /// <exception cref="IOException">The disk reported an error.</exception>
    public async ValueTask<long> FlushAsync(CancellationToken token)
    {
        if (_writing.IsCompletedSuccessfully && await _writing == AppliedIndex)
        {
            Interlocked.Exchange(ref _durableIndex, AppliedIndex);
            return AppliedIndex;
        }

        _flushesSinceWrite++;
        if (_writing.IsCompleted || _flushesSinceWrite > FlushesPerWrite)
        {
            // Nobody else waits for it: its failure is told here.
            Interlocked.Exchange(ref _durableIndex, await _writing.WaitAsync(token));
            long size = Read(state => state.Bytes);
            if (size <= SmallBytes)
            {
                Interlocked.Exchange(ref _durableIndex, await (_writing = WriteAsync(Cut())));
            }
            else if (_bytesSinceWrite >= size || _flushesSinceWrite >= FlushesPerWrite)
            {
                StateCut cut = Cut();
                _writing = Task.Run(() => WriteAsync(cut), CancellationToken.None);
            }
        }

        return Interlocked.Read(ref _durableIndex);
    }

    /// <inheritdoc/>
    public async ValueTask<long> SaveSnapshotAsync(Stream destination, CancellationToken token)
    {
        StateCut cut = Cut(isWrite: false);
        cut.Sort();
        await StateFileFormat.WriteAsync(cut, destination, token);
        return cut.Index;
    }

    /// <inheritdoc/>
    public async ValueTask LoadSnapshotAsync(Stream source, long index, CancellationToken token)
    {
        (SharedState state, _) = await StateFileFormat.ReadAsync(source, _limits, token);
        await _writing.WaitAsync(token);
        StateCut cut = new(index, state.Version, state.LastRemovalAt, [.. state.Entries]);
        long durable = await (_writing = WriteAsync(cut));
        TaskCompletionSource changed;
        lock (_gate)
        {
            _state = state;
            Interlocked.Exchange(ref _appliedIndex, index);
            Interlocked.Exchange(ref _durableIndex, durable);
            _bytesSinceWrite = 0;
            _flushesSinceWrite = 0;
            (changed, _changed) = (_changed, NewSignal());
        }

        changed.TrySetResult();
    }

    /// <summary>Waits for a write under way.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await _writing;
        }
        catch (IOException)
        {
            // The old file is still there, and the log has what came after it.
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    // The one moment in which applying waits: a copy of references, about 10 ms for a million keys.
    private StateCut Cut(bool isWrite = true)
    {
        lock (_gate)
        {
            if (isWrite)
            {
                _bytesSinceWrite = 0;
                _flushesSinceWrite = 0;
            }

            return new StateCut(AppliedIndex, _state.Version, _state.LastRemovalAt, [.. _state.Entries]);
        }
    }

    private async Task<long> WriteAsync(StateCut cut)
    {
        cut.Sort();
        await _file.ReplaceAsync(cut, CancellationToken.None);
        return cut.Index;
    }
}
