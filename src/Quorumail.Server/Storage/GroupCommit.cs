using System.Threading.Channels;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Storage;

/// <summary>
/// The one writer of the database. Its thread takes whatever requests have come while the last group was being synced,
/// writes them as one batch with one fsync, and never waits for more.
/// </summary>
internal sealed class GroupCommit : IAsyncDisposable
{
    /// <summary>Requests that may wait for the writer; callers beyond wait to hand theirs over.</summary>
    internal const int PendingMax = 1024;

    /// <summary>A group ends when it holds so many bytes: some 30 ms of a disk that writes 160 MB/s.</summary>
    internal const int GroupBytesMax = 4 << 20;

    private readonly RocksStore _store;
    private readonly StorageHealth _health;
    private readonly Channel<WriteRequest> _pending;
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<WriteRequest> _group = new(PendingMax);
    private readonly RocksBatch _batch = new();
    private long _groups;
    private long _syncs;
    private long _requests;

    public GroupCommit(RocksStore store, StorageHealth health)
    {
        _store = store;
        _health = health;
        _pending = Channel.CreateBounded<WriteRequest>(new BoundedChannelOptions(PendingMax)
        {
            SingleReader = true,
            FullMode = BoundedChannelFullMode.Wait,
        });
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
    /// <exception cref="StorageException">The disk has failed.</exception>
    public ValueTask WriteAsync(WriteRequest request, CancellationToken token)
    {
        if (_health.Failure is { } failure)
        {
            return ValueTask.FromException(Refusal(failure));
        }

        var written = request.BeginAsync();
        return _pending.Writer.TryWrite(request) ? written : WaitAndWriteAsync(request, written, token);
    }

    /// <summary>Writes what was handed over, and stops.</summary>
    public async ValueTask DisposeAsync()
    {
        _pending.Writer.TryComplete();
        await _stopped.Task;
    }

    private static StorageException Refusal(Exception failure) =>
        new("The disk has failed; nothing more is written to it: " + failure.Message, failure);

    private async ValueTask WaitAndWriteAsync(WriteRequest request, ValueTask written, CancellationToken token)
    {
        try
        {
            await _pending.Writer.WriteAsync(request, token);
        }
        catch (ChannelClosedException closed)
        {
            throw new StorageException("The store is closing.", closed);
        }

        await written;
    }

    private void Run()
    {
        var reader = _pending.Reader;
        try
        {
            // The thread has nothing else to do than to wait for the next request.
#pragma warning disable VSTHRD002, CA2012
            while (reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
#pragma warning restore VSTHRD002, CA2012
            {
                WriteGroup(reader);
            }
        }
        finally
        {
            _batch.Dispose();
            _stopped.SetResult();
        }
    }

    private void WriteGroup(ChannelReader<WriteRequest> reader)
    {
        var refusal = TryWriteGroup(reader);
        foreach (var request in _group)
        {
            if (refusal is null)
            {
                request.Written();
            }
            else
            {
                request.Failed(refusal);
            }
        }

        _group.Clear();
        _batch.Clear();
    }

    private StorageException? TryWriteGroup(ChannelReader<WriteRequest> reader)
    {
        try
        {
            var bytes = 0;
            var sync = false;
            while (bytes < GroupBytesMax && _group.Count < PendingMax && reader.TryRead(out var request))
            {
                _group.Add(request);
                request.AddTo(_batch);
                bytes += request.ByteCount;
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
