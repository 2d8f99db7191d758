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
/// Messages whose Enqueue did not end well while the client was told so: each is withdrawn or abandoned through the log,
/// again and again until that is committed. They are on the disk before the client gets its answer, so that a crash
/// does not forget them.
/// </summary>
internal sealed partial class Retractions : IAsyncDisposable
{
    /// <summary>Unresolved retractions at most; beyond it no message is accepted.</summary>
    public const int Max = 100_000;

    private static readonly byte[] KeyPrefix = "retract/"u8.ToArray();
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    private readonly Database _database;
    private readonly Func<QueueCommand, CancellationToken, ValueTask<QueueProposal>> _propose;
    private readonly TimeProvider _time;
    private readonly TimeSpan _timeout;
    private readonly ILogger _logger;
    private readonly ConcurrentDictionary<QueueId, bool> _open = new();
    private readonly Channel<(QueueId Id, bool Withdraws)> _work = Channel.CreateUnbounded<(QueueId, bool)>(
        new UnboundedChannelOptions { SingleReader = true });

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

    /// <summary>Whether there is room for one more, should it be needed.</summary>
    public bool HasRoom => _open.Count < Max;

    /// <summary>Unresolved so far.</summary>
    public int Count => _open.Count;

    /// <summary>Whether the id is being retracted.</summary>
    public bool Contains(QueueId id) => _open.ContainsKey(id);

    /// <summary>Begins with what an earlier life has left.</summary>
    public void Start()
    {
        using (var iterator = _database.Store.Iterate(_database.Meta))
        {
            for (var found = iterator.Seek(KeyPrefix); found && iterator.Key.StartsWith(KeyPrefix); found = iterator.Next())
            {
                Open(QueueId.Read(iterator.Key[KeyPrefix.Length..]), iterator.Value is [1, ..]);
            }
        }

        _resolving = Task.Run(() => ResolveAsync(_stop.Token), CancellationToken.None);
    }

    /// <summary>Takes a message back; returns when that is on the disk, not when it is done.</summary>
    /// <param name="id">The message.</param>
    /// <param name="withdraws">Its Enqueue may be committed; if false it can't be, and only the body is to go.</param>
    /// <returns>False if this disk, which has failed, can't remember it.</returns>
    public async ValueTask<bool> AddAsync(QueueId id, bool withdraws)
    {
        try
        {
            // Losing an abandonment is harmless: the body is found at the next start.
            await _database.Commits.WriteAsync(new Note(_database.Meta, id, withdraws, needsSync: withdraws));
        }
        catch (StorageException)
        {
            return false;
        }

        Open(id, withdraws);
        return true;
    }

    public async ValueTask DisposeAsync()
    {
        _work.Writer.TryComplete();
        await _stop.CancelAsync();
        await _resolving;
        _stop.Dispose();
    }

    private void Open(QueueId id, bool withdraws)
    {
        if (_open.TryAdd(id, withdraws))
        {
            // Unbounded, but never longer than the dictionary.
            _work.Writer.TryWrite((id, withdraws));
        }
    }

    private async Task ResolveAsync(CancellationToken token)
    {
        try
        {
            await foreach (var (id, withdraws) in _work.Reader.ReadAllAsync(token))
            {
                await ResolveAsync(id, withdraws, token);
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

    private async Task ResolveAsync(QueueId id, bool withdraws, CancellationToken token)
    {
        QueueCommand command = withdraws ? new WithdrawCommand(id) : new AbandonCommand(id);
        while (true)
        {
            QueueProposal proposal;
            using (var timeout = new CancellationTokenSource(_timeout, _time))
            using (var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, token))
            {
                proposal = await _propose(command, either.Token);
            }

            token.ThrowIfCancellationRequested();
            if (proposal.Outcome == ProposalOutcome.Applied)
            {
                LogRetracted(_logger, id, proposal.Status);
                await _database.Commits.WriteAsync(new Note(_database.Meta, id));
                _open.TryRemove(id, out _);
                return;
            }

            await Task.Delay(RetryDelay, _time, token);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "message {Id} was taken back: {Status}")]
    private static partial void LogRetracted(ILogger logger, QueueId id, ApplyStatus status);

    /// <summary>Notes a retraction, or with a null kind forgets it.</summary>
    private sealed class Note(RocksFamily meta, QueueId id, bool? withdraws = null, bool needsSync = false) : WriteRequest
    {
        public override bool NeedsSync => needsSync;

        public override int ByteCount => 32;

        public override void AddTo(RocksBatch batch)
        {
            Span<byte> key = stackalloc byte[KeyPrefix.Length + QueueId.ByteLength];
            KeyPrefix.CopyTo(key);
            id.WriteTo(key[KeyPrefix.Length..]);
            if (withdraws is { } kind)
            {
                batch.Put(meta, key, [kind ? (byte)1 : (byte)0]);
            }
            else
            {
                batch.Delete(meta, key);
            }
        }
    }
}
