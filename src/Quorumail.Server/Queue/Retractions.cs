using System.Collections.Concurrent;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Log;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Queue;

/// <summary>
/// What the log must still be told of messages whose clients may know something else: an Enqueue that did not end well is withdrawn
/// or abandoned, a 250 that was perhaps not read is listed; again and again until that is committed, several at once. It is on the disk first,
/// so that a crash does not forget it. Withdrawals come first: what is not withdrawn soon after it was committed is delivered.
/// </summary>
internal sealed partial class Retractions : IAsyncDisposable
{
    /// <summary>Unresolved at most; beyond it no message is accepted.</summary>
    public const int Max = 100_000;

    /// <summary>Proposals that wait at once: they share the log's rounds.</summary>
    internal const int AtOnce = 32;

    private static readonly byte[] KeyPrefix = "retract/"u8.ToArray();
    private static readonly byte[] UnreadPrefix = "unread/"u8.ToArray();
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(2);

    private readonly Database _database;
    private readonly Func<QueueCommand, CancellationToken, ValueTask<QueueProposal>> _propose;
    private readonly TimeProvider _time;
    private readonly TimeSpan _timeout;
    private readonly ILogger _logger;
    private readonly ConcurrentDictionary<QueueId, Kind> _open = new();

    // Unbounded, but together never longer than the dictionary; the channel has one for each that they hold.
    private readonly ConcurrentQueue<(QueueId Id, Kind Kind)> _withdrawals = new();
    private readonly ConcurrentQueue<(QueueId Id, Kind Kind)> _others = new();
    private readonly Channel<bool> _waiting = Channel.CreateUnbounded<bool>();
    private readonly CancellationTokenSource _stop = new();
    private Task _resolving = Task.CompletedTask;

    public Retractions(
        Database database, Func<QueueCommand, CancellationToken, ValueTask<QueueProposal>> propose, TimeSpan timeout,
        TimeProvider time, ILogger logger)
    {
        _database = database;
        _propose = propose;
        _timeout = timeout;
        _time = time;
        _logger = logger;
    }

    private enum Kind : byte
    {
        Abandon = 0,
        Withdraw = 1,
        Unread = 2,
    }

    /// <summary>Whether there is room for one more, should it be needed.</summary>
    public bool HasRoom => _open.Count < Max;

    /// <summary>Unresolved so far.</summary>
    public int Count => _open.Count;

    /// <summary>Whether the id is being retracted.</summary>
    public bool Contains(QueueId id) => _open.TryGetValue(id, out var kind) && kind != Kind.Unread;

    /// <summary>Begins with what an earlier life has left.</summary>
    public void Start()
    {
        using (var iterator = _database.Store.Iterate(_database.Meta))
        {
            for (var found = iterator.Seek(KeyPrefix); found && iterator.Key.StartsWith(KeyPrefix); found = iterator.Next())
            {
                Open(QueueId.Read(iterator.Key[KeyPrefix.Length..]), iterator.Value is [1, ..] ? Kind.Withdraw : Kind.Abandon);
            }

            for (var found = iterator.Seek(UnreadPrefix); found && iterator.Key.StartsWith(UnreadPrefix); found = iterator.Next())
            {
                Open(QueueId.Read(iterator.Key[UnreadPrefix.Length..]), Kind.Unread);
            }
        }

        _resolving = Task.WhenAll(Enumerable.Range(0, AtOnce).Select(_ => Task.Run(() => ResolveAsync(_stop.Token), CancellationToken.None)));
    }

    /// <summary>Takes a message back; returns when that is on the disk, not when it is done.</summary>
    /// <param name="id">The message.</param>
    /// <param name="withdraws">Its Enqueue may be committed; if false it can't be, and only the body is to go.</param>
    /// <returns>False if this disk, which has failed, can't remember it.</returns>
    public ValueTask<bool> AddAsync(QueueId id, bool withdraws) => AddAsync(id, withdraws ? Kind.Withdraw : Kind.Abandon);

    /// <summary>Lists a message whose 250 the client may not have read; returns when that is on the disk, not when it is done.</summary>
    /// <returns>False if this disk, which has failed, can't remember it, or too many wait.</returns>
    public async ValueTask<bool> AddUnreadAsync(QueueId id) => HasRoom && await AddAsync(id, Kind.Unread);

    public async ValueTask DisposeAsync()
    {
        _waiting.Writer.TryComplete();
        try
        {
            // What can be told is told: this disk may not come back.
            await _resolving.WaitAsync(StopPatience, _time, CancellationToken.None);
        }
        catch (TimeoutException)
        {
            // The rest is, at the next start.
        }

        await _stop.CancelAsync();
        await _resolving;
        _stop.Dispose();
    }

    private async ValueTask<bool> AddAsync(QueueId id, Kind kind)
    {
        try
        {
            // Losing an abandonment is harmless: the body is found at the next start.
            await _database.Commits.WriteAsync(new Note(_database.Meta, id, kind));
        }
        catch (StorageException)
        {
            return false;
        }

        Open(id, kind);
        return true;
    }

    private void Open(QueueId id, Kind kind)
    {
        if (_open.TryAdd(id, kind))
        {
            Queue(id, kind);
        }
    }

    private void Queue(QueueId id, Kind kind)
    {
        (kind == Kind.Withdraw ? _withdrawals : _others).Enqueue((id, kind));
        _waiting.Writer.TryWrite(true);
    }

    private async Task ResolveAsync(CancellationToken token)
    {
        try
        {
            await foreach (var _ in _waiting.Reader.ReadAllAsync(token))
            {
                if (_withdrawals.TryDequeue(out var next) || _others.TryDequeue(out next))
                {
                    await ResolveAsync(next.Id, next.Kind, token);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // What is left goes on at the next start.
        }
        catch (StorageException)
        {
            // The disk has failed; so will everything else.
        }
    }

    private async Task ResolveAsync(QueueId id, Kind kind, CancellationToken token)
    {
        QueueCommand command = kind switch
        {
            Kind.Withdraw => new WithdrawCommand(id),
            Kind.Abandon => new AbandonCommand(id),
            _ => new ReportUnreadReplyCommand(id),
        };
        QueueProposal proposal;
        using (var timeout = new CancellationTokenSource(_timeout, _time))
        using (var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, token))
        {
            proposal = await _propose(command, either.Token);
        }

        token.ThrowIfCancellationRequested();
        if (proposal.Outcome == ProposalOutcome.Applied)
        {
            if (kind != Kind.Unread)
            {
                LogRetracted(_logger, id, proposal.Status);
            }

            await _database.Commits.WriteAsync(new Note(_database.Meta, id, kind, isOver: true));
            _open.TryRemove(id, out _);
            return;
        }

        // Whatever is to be withdrawn meanwhile goes before it, if it is something else.
        await Task.Delay(RetryDelay, _time, token);
        Queue(id, kind);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "message {Id} was taken back: {Status}")]
    private static partial void LogRetracted(ILogger logger, QueueId id, ApplyStatus status);

    /// <summary>Notes what is to be told, or that it has been.</summary>
    private sealed class Note(RocksFamily meta, QueueId id, Kind kind, bool isOver = false) : WriteRequest
    {
        public override bool NeedsSync => !isOver && kind != Kind.Abandon;

        public override int ByteCount => 32;

        public override void AddTo(RocksBatch batch)
        {
            var prefix = kind == Kind.Unread ? UnreadPrefix : KeyPrefix;
            Span<byte> key = stackalloc byte[prefix.Length + QueueId.ByteLength];
            prefix.CopyTo(key);
            id.WriteTo(key[prefix.Length..]);
            if (isOver)
            {
                batch.Delete(meta, key);
            }
            else
            {
                batch.Put(meta, key, [(byte)kind]);
            }
        }
    }
}
