using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster;
using Quorumail.Core.Mail;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Replication;

/// <summary>
/// Takes bodies that other nodes copy to this one, and gives them those that it has. A copy counts when it is answered
/// <see cref="CopyStatus.Stored"/>: it is on the disk then, whole. What is never enqueued is given up through the log, what
/// remains incomplete is deleted.
/// </summary>
internal sealed partial class BodyService : IPeerService, IAsyncDisposable
{
    /// <summary>Bodies that arrive in pieces at once.</summary>
    private const int ArrivingMax = 10_000;

    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(5);

    /// <summary>A body whose next piece does not come in so long never becomes whole.</summary>
    private static readonly TimeSpan ArrivingMaxAge = TimeSpan.FromMinutes(5);

    /// <summary>The accepting node waits for the commit less than this.</summary>
    private static readonly TimeSpan UnclaimedMaxAge = TimeSpan.FromSeconds(60);

    private readonly Database _database;
    private readonly Func<int> _incarnation;
    private readonly Func<QueueId, bool> _isQueued;
    private readonly Func<QueueId, bool> _isOver;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly ConcurrentDictionary<QueueId, Arriving> _arriving = new();
    private readonly ConcurrentQueue<(QueueId Id, long Since)> _unclaimed = new();
    private readonly CancellationTokenSource _stop = new();
    private Task _sweeping = Task.CompletedTask;

    /// <param name="database">Where bodies go.</param>
    /// <param name="incarnation">Of this node's disk.</param>
    /// <param name="isQueued">Whether a message is in the queue.</param>
    /// <param name="isOver">Whether a message is known to have left it.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">Told what the operator should know.</param>
    public BodyService(
        Database database, Func<int> incarnation, Func<QueueId, bool> isQueued, Func<QueueId, bool> isOver, TimeProvider time, ILogger log)
    {
        _database = database;
        _incarnation = incarnation;
        _isQueued = isQueued;
        _isOver = isOver;
        _time = time;
        _log = log;
    }

    /// <summary>Copies that no message has claimed yet.</summary>
    public int Unclaimed => _unclaimed.Count;

    /// <summary>Begins to give up what nobody claims.</summary>
    /// <param name="abandon">Gives a body up through the log.</param>
    public void Start(Func<QueueId, ValueTask> abandon) => _sweeping = SweepAsync(abandon, _stop.Token);

    public ValueTask<ReadOnlyMemory<byte>> AnswerAsync(ClusterPeer peer, ReadOnlyMemory<byte> question, CancellationToken token)
    {
        if (!BodyFrame.TryReadHeader(ref question, _incarnation(), out var kind))
        {
            return ValueTask.FromResult(ReadOnlyMemory<byte>.Empty);
        }

        return kind switch
        {
            BodyFrame.Store => StoreAsync(question),
            BodyFrame.Fetch => ValueTask.FromResult<ReadOnlyMemory<byte>>(Fetch(question.Span)),
            _ => ValueTask.FromResult(ReadOnlyMemory<byte>.Empty),
        };
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _sweeping;
        _stop.Dispose();
    }

    private async ValueTask<ReadOnlyMemory<byte>> StoreAsync(ReadOnlyMemory<byte> pieces)
    {
        List<(QueueId Id, uint Number, BodyRecord? Written, CopyStatus Status)> taken = [];
        while (BodyFrame.TryReadPiece(ref pieces, out var flags, out var id, out var number, out var record))
        {
            var (written, status) = await TakeAsync(flags, id, number, record);
            taken.Add((id, number, written, status));
        }

        var answer = new byte[taken.Count];
        for (var i = 0; i < answer.Length; i++)
        {
            var (id, number, written, status) = taken[i];
            if (written is not null)
            {
                await written.WaitAsync();
                status = number == BodyFrame.Head ? await ArrivedAsync(id) : CopyStatus.Stored;
            }

            answer[i] = (byte)status;
        }

        return answer;
    }

    private async ValueTask<(BodyRecord? Written, CopyStatus Status)> TakeAsync(byte flags, QueueId id, uint number, ReadOnlyMemory<byte> record)
    {
        if (!BodyRecords.IsSound(id, number, record.Span) || !_database.Health.AcceptsMail)
        {
            return (null, CopyStatus.Refused);
        }

        // Two nodes may make the same id by chance: what came first may be acknowledged, and stays.
        var isAgain = (flags & BodyFrame.Again) != 0;
        if (number == BodyFrame.Head ? !IsComplete(id, record.Span, isAgain) : !isAgain && BodyRecords.HasHead(_database, id))
        {
            return (null, CopyStatus.Refused);
        }

        var written = await BodyRecords.WriteAsync(_database, id, number, record, replaces: false);
        return written is not null && Count(id, number) ? (written, CopyStatus.Stored) : (null, CopyStatus.Refused);
    }

    // A chunk counts when the journal has it: the head comes after it there.
    private bool Count(QueueId id, uint number)
    {
        if (number == BodyFrame.Head)
        {
            return true;
        }

        if (!_arriving.TryGetValue(id, out var arriving))
        {
            if (_arriving.Count >= ArrivingMax)
            {
                return false;
            }

            arriving = _arriving.GetOrAdd(id, static _ => new Arriving());
        }

        if (arriving.HasEnded)
        {
            return false;
        }

        Interlocked.Increment(ref arriving.Chunks);
        Volatile.Write(ref arriving.LastAt, _time.GetTimestamp());
        return true;
    }

    private bool IsComplete(QueueId id, ReadOnlySpan<byte> head, bool isAgain)
    {
        var (size, _, chunkLength) = BodyFormat.ReadHead(id, head);
        if (chunkLength == 0)
        {
            return true;
        }

        var expected = BodyFormat.ChunkCount(size);
        if (_arriving.TryGetValue(id, out var arriving))
        {
            if (!arriving.TryEnd())
            {
                return false;
            }

            _arriving.TryRemove(id, out _);
            if (Volatile.Read(ref arriving.Chunks) == expected)
            {
                return true;
            }
        }

        // Sent again, some chunks may have come in an earlier life of this process.
        return isAgain && Enumerable.Range(0, (int)expected).All(number => BodyRecords.Exists(_database, id, (uint)number));
    }

    // Its message may have come to its end elsewhere before this copy came.
    private async ValueTask<CopyStatus> ArrivedAsync(QueueId id)
    {
        if (_isOver(id))
        {
            await BodyRecords.RemoveAsync(_database, id);
            return CopyStatus.Gone;
        }

        _unclaimed.Enqueue((id, _time.GetTimestamp()));
        return CopyStatus.Stored;
    }

    private byte[] Fetch(ReadOnlySpan<byte> name)
    {
        try
        {
            if (BodyFrame.TryReadName(name, out var id, out var number)
                && BodyRecords.Get(_database, id, number) is { } record && BodyRecords.IsSound(id, number, record))
            {
                return [1, .. record];
            }
        }
        catch (RocksException damaged)
        {
            LogNotRead(_log, damaged.Message);
        }

        return [0];
    }

    private async Task SweepAsync(Func<QueueId, ValueTask> abandon, CancellationToken token)
    {
        using PeriodicTimer timer = new(SweepInterval, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(token))
            {
                await SweepUnclaimedAsync(abandon);
                await SweepArrivingAsync();
            }
        }
        catch (Exception stopped) when (stopped is OperationCanceledException or StorageException)
        {
            Debug.Assert(token.IsCancellationRequested || stopped is StorageException, "ended by the stop, or by a failed disk");
        }
    }

    // All of them each time: the queue soon forgets which messages have left it.
    private async Task SweepUnclaimedAsync(Func<QueueId, ValueTask> abandon)
    {
        for (var left = _unclaimed.Count; left > 0 && _unclaimed.TryDequeue(out var copy); left--)
        {
            if (_isQueued(copy.Id) || _isOver(copy.Id))
            {
                continue;
            }

            if (_time.GetElapsedTime(copy.Since) > UnclaimedMaxAge)
            {
                await abandon(copy.Id);
            }
            else
            {
                _unclaimed.Enqueue(copy);
            }
        }
    }

    private async Task SweepArrivingAsync()
    {
        foreach (var (id, arriving) in _arriving)
        {
            if (_time.GetElapsedTime(Volatile.Read(ref arriving.LastAt)) <= ArrivingMaxAge || !arriving.TryEnd())
            {
                continue;
            }

            // A whole body that pieces were sent of again is the log's to delete.
            if (!_isQueued(id) && !BodyRecords.HasHead(_database, id))
            {
                await BodyRecords.RemoveAsync(_database, id);
            }

            _arriving.TryRemove(id, out _);
        }
    }

    [LoggerMessage(1, LogLevel.Error, "a body that another node asks for can't be read: {Reason}")]
    private static partial void LogNotRead(ILogger log, string reason);

    /// <summary>A body that comes in pieces, until its head comes or it is given up: whichever ends it first.</summary>
    private sealed class Arriving
    {
        public int Chunks;
        public long LastAt;
        private int _ended;

        public bool HasEnded => Volatile.Read(ref _ended) != 0;

        public bool TryEnd() => Interlocked.Exchange(ref _ended, 1) == 0;
    }
}
