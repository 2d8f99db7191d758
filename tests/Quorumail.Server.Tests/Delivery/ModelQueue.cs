using System.Collections.Concurrent;
using System.Text;
using System.Threading.Channels;
using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Delivery;
using Quorumail.Server.Delivery.Transport;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Tests.Delivery;

/// <summary>A queue in memory whose log does what the test wants: <see cref="Fate"/> decides of each proposal.</summary>
internal sealed class ModelQueue : IDeliveryQueue
{
    private readonly Lock _lock = new();
    private readonly QueueState _state = new();
    private readonly Channel<QueueChange> _changes = Channel.CreateUnbounded<QueueChange>();
    private readonly Channel<(QueueCommand Command, ApplyStatus Status)> _applied = Channel.CreateUnbounded<(QueueCommand, ApplyStatus)>();
    private readonly ConcurrentDictionary<QueueId, byte[]> _bodies = new();
    private uint _next;

    public enum ProposalFate
    {
        Commit,
        Refuse,
        CommitUnknown,
    }

    public Func<QueueCommand, ProposalFate> Fate { get; set; } = static _ => ProposalFate.Commit;

    /// <summary>Awaited before a proposal is looked at.</summary>
    public Func<QueueCommand, Task> Delay { get; set; } = static _ => Task.CompletedTask;

    public string NodeId { get; init; } = "n1";

    public ChannelReader<QueueChange> Changes => _changes.Reader;

    /// <summary>Whose time passes by itself; null: the test's.</summary>
    public TimeProvider? Time { get; init; }

    /// <summary>Milliseconds; set by the test.</summary>
    public long ClusterTime
    {
        get => Time?.GetUtcNow().ToUnixTimeMilliseconds() ?? field;
        set;
    } = 1_700_000_000_000;

    public long Epoch
    {
        get
        {
            lock (_lock)
            {
                return _state.EpochOf(NodeId);
            }
        }
    }

    public bool IsReady => true;

    /// <summary>Why nothing may be written to Maildirs; set by the test.</summary>
    public string? Shortage { get; set; }

    public string? ShortageAt(string path) => Shortage;

    public IReadOnlyList<Suspension> Suspensions
    {
        get
        {
            lock (_lock)
            {
                return [.. _state.Suspensions];
            }
        }
    }

    public ConcurrentDictionary<QueueId, byte[]> Bodies => _bodies;

    public IReadOnlyList<Suspect> Suspects
    {
        get
        {
            lock (_lock)
            {
                return [.. _state.Suspects.Select(listed => listed.Suspect)];
            }
        }
    }

    public IReadOnlyList<QueuedMessage> Messages
    {
        get
        {
            lock (_lock)
            {
                return [.. _state.Messages];
            }
        }
    }

    public QueueId Enqueue(string body, string from, params string[] to) =>
        Enqueue(body, new Envelope(from, [.. to.Select(address => new EnvelopeRecipient(address))]));

    public QueueId Enqueue(string body, Envelope envelope, string? owner = null)
    {
        var octets = Encoding.UTF8.GetBytes(body);
        var id = QueueId.Create(ClusterTime, ++_next);
        _bodies[id] = octets;
        var header = body.Split("\r\n\r\n")[0];
        var traits = (Ascii.IsValid(octets) ? BodyTraits.None : BodyTraits.EightBit)
            | (Ascii.IsValid(header) ? BodyTraits.None : BodyTraits.EightBitHeaders);
        var status = Apply(new EnqueueCommand(id, envelope, octets.Length, traits, new byte[16], [new BodyHolder(owner ?? NodeId, 1), .. owner is null ? Array.Empty<BodyHolder>() : [new BodyHolder(NodeId, 1)]], owner ?? NodeId));
        Assert.Equal(ApplyStatus.Accepted, status);
        return id;
    }

    /// <summary>The next applied command of a kind, in order of apply.</summary>
    public async Task<T> NextAsync<T>(Func<T, bool>? wanted = null)
        where T : QueueCommand
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(30));
        while (true)
        {
            var (command, status) = await _applied.Reader.ReadAsync(limit.Token);
            if (command is T match && status == ApplyStatus.Accepted && (wanted is null || wanted(match)))
            {
                return match;
            }
        }
    }

    public QueuedMessage? Find(QueueId id)
    {
        lock (_lock)
        {
            return _state.TryGet(id, out var message) ? message : null;
        }
    }

    public async ValueTask<ApplyStatus?> ProposeAsync(QueueCommand command, CancellationToken token)
    {
        await Delay(command).WaitAsync(token).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        if (token.IsCancellationRequested)
        {
            return null;
        }

        switch (Fate(command))
        {
            case ProposalFate.Refuse:
                return null;
            case ProposalFate.CommitUnknown:
                Apply(command);
                return null;
            default:
                return Apply(command);
        }
    }

    public ValueTask<MessageContent> OpenAsync(QueueId id, CancellationToken token) => _bodies.TryGetValue(id, out var body)
        ? ValueTask.FromResult<MessageContent>(new MemoryContent(body))
        : throw new BodyMissingException("no such body");

    public ValueTask<EnqueueCommand> StoreNoticeAsync(NoticePlan plan, ComposedNotice notice, CancellationToken token)
    {
        _bodies[plan.Id] = notice.Body;
        return ValueTask.FromResult(plan.ToEnqueue(notice.Body.Length, new byte[16], notice.Traits, [new BodyHolder(NodeId, 1)], NodeId));
    }

    /// <summary>Ends the changes with an error.</summary>
    public void Break(Exception error) => _changes.Writer.Complete(error);

    private ApplyStatus Apply(QueueCommand command)
    {
        lock (_lock)
        {
            var changes = new QueueChanges();
            var status = _state.Apply(command, ClusterTime, changes);
            if (changes.Suspensions.Count > 0)
            {
                _changes.Writer.TryWrite(new QueueChange(default, null) { SuspensionsChanged = true });
            }

            foreach (var (id, message) in changes.Messages)
            {
                _changes.Writer.TryWrite(new QueueChange(id, message));
            }

            foreach (var move in changes.Moved)
            {
                _changes.Writer.TryWrite(new QueueChange(move.Message.Id, move.Message));
            }

            _applied.Writer.TryWrite((command, status));
            return status;
        }
    }
}
