using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Storage;

/// <summary>
/// The one writer of the database. Its thread takes whatever requests have come while the last group was being synced,
/// writes them as one batch with one fsync, and never waits for more.
/// </summary>
internal sealed class GroupCommit : IAsyncDisposable
{
    /// <summary>Requests of one group at most.</summary>
    internal const int GroupMax = 1024;

    /// <summary>A group ends when it holds so many bytes: some 30 ms of a disk that writes 160 MB/s.</summary>
    internal const int GroupBytesMax = 4 << 20;

    private readonly RocksStore _store;
    private readonly StorageHealth _health;
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<WriteRequest> _group = new(GroupMax);
    private readonly RocksBatch _batch = new();

    // Guards what follows. An object, because the writer waits on it. Unbounded: whoever hands a request over holds its
    // memory anyway, and waits.
    private readonly object _gate = new();
    private readonly Queue<WriteRequest> _pending = new();
    private bool _isClosed;
    private long _groups;
    private long _syncs;
    private long _requests;

    public GroupCommit(RocksStore store, StorageHealth health)
    {
        _store = store;
        _health = health;
        new Thread(Run) { Name = "storage writer", IsBackground = true }.Start();
    }

    /// <summary>Batches written so far.</summary>
    public long Groups => Interlocked.Read(ref _groups);

    /// <summary>Batches that were synced so far.</summary>
    public long Syncs => Interlocked.Read(ref _syncs);

    /// <summary>Requests written so far.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>Hands a request over; requests are written in the order of the calls.</summary>
    /// <returns>Completes when the request is written, and synced if it asked for that.</returns>
    /// <exception cref="StorageException">The disk has failed, or the store is closing.</exception>
    public ValueTask WriteAsync(WriteRequest request)
    {
        if (_health.Failure is { } failure)
        {
            return ValueTask.FromException(Refusal(failure));
        }

        var written = request.BeginAsync();
        lock (_gate)
        {
            if (!_isClosed)
            {
                _pending.Enqueue(request);
                if (_pending.Count == 1)
                {
                    Monitor.Pulse(_gate);
                }

                return written;
            }
        }

        return ValueTask.FromException(new StorageException("The store is closing."));
    }

    /// <summary>Writes what was handed over, and stops.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            _isClosed = true;
            Monitor.Pulse(_gate);
        }

        await _stopped.Task;
    }

    private static StorageException Refusal(Exception failure) =>
        new("The disk has failed; nothing more is written to it: " + failure.Message, failure);

    private void Run()
    {
        while (TryTakeGroup())
        {
            var refusal = TryWriteGroup();
            foreach (var request in _group)
            {
                request.End(refusal);
            }

            _group.Clear();
            _batch.Clear();
        }

        _batch.Dispose();
        _stopped.SetResult();
    }

    private bool TryTakeGroup()
    {
        lock (_gate)
        {
            while (_pending.Count == 0 && !_isClosed)
            {
                Monitor.Wait(_gate);
            }

            for (var bytes = 0; bytes < GroupBytesMax && _group.Count < GroupMax && _pending.TryDequeue(out var request);)
            {
                bytes += request.ByteCount;
                _group.Add(request);
            }
        }

        return _group.Count > 0;
    }

    private StorageException? TryWriteGroup()
    {
        try
        {
            var sync = false;
            foreach (var request in _group)
            {
                request.AddTo(_batch);
                sync |= request.NeedsSync;
            }

            if (_health.Failure is { } earlier)
            {
                return Refusal(earlier);
            }

            _store.Write(_batch, sync);
            Interlocked.Increment(ref _groups);
            Interlocked.Add(ref _requests, _group.Count);
            if (sync)
            {
                Interlocked.Increment(ref _syncs);
            }

            return null;
        }
        catch (Exception failure)
        {
            // Whatever went wrong, what the disk holds is unknown now: no caller may believe in its write, then or later.
            var reported = Failure(failure);
            _health.Fail(reported);
            return Refusal(reported);
        }
    }

    private static StorageException Failure(Exception failure) => new(
        "The disk has failed: a write or an fsync of the database was refused (" + failure.Message
        + "). The node stops. Repair or replace the disk, then start it again; what was acknowledged before is kept.",
        failure);
}
