using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Queue;

/// <summary>
/// What has changed since the one reader last looked: each message at most once, as it stands now, in the order in which
/// they first changed. So it never holds more than the queue does, and a slow reader catches up with the state and
/// not with its history. A removal may name a message that the reader never saw.
/// </summary>
internal sealed class QueueChangeFeed : ChannelReader<QueueChange>
{
    private const int ShrinkAbove = 4096;

    private readonly Lock _gate = new();
    private readonly Queue<QueueId> _order = new();
    private readonly Dictionary<QueueId, QueuedMessage?> _changed = [];
    private bool _suspensionsChanged;
    private readonly Channel<bool> _signal = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public override bool CanCount => true;

    public override int Count
    {
        get
        {
            lock (_gate)
            {
                return _order.Count + (_suspensionsChanged ? 1 : 0);
            }
        }
    }

    public override Task Completion => _signal.Reader.Completion;

    public override bool TryRead([MaybeNullWhen(false)] out QueueChange item)
    {
        lock (_gate)
        {
            if (_suspensionsChanged)
            {
                _suspensionsChanged = false;
                item = new QueueChange(default, null) { SuspensionsChanged = true };
                return true;
            }

            if (!_order.TryDequeue(out var id))
            {
                item = default;
                return false;
            }

            _changed.Remove(id, out var message);
            item = new QueueChange(id, message);
            if (_order.Count == 0 && _changed.EnsureCapacity(0) > ShrinkAbove)
            {
                _order.TrimExcess();
                _changed.TrimExcess();
            }

            return true;
        }
    }

    public override async ValueTask<bool> WaitToReadAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            _signal.Reader.TryRead(out _);
            if (Count > 0)
            {
                return true;
            }

            if (!await _signal.Reader.WaitToReadAsync(cancellationToken))
            {
                return Count > 0;
            }
        }
    }

    internal void Put(QueueId id, QueuedMessage? message)
    {
        bool wasEmpty;
        lock (_gate)
        {
            wasEmpty = _order.Count == 0;
            if (!_changed.ContainsKey(id))
            {
                _order.Enqueue(id);
            }

            _changed[id] = message;
        }

        if (wasEmpty)
        {
            _signal.Writer.TryWrite(true);
        }
    }

    internal void PutSuspensions()
    {
        lock (_gate)
        {
            _suspensionsChanged = true;
        }

        _signal.Writer.TryWrite(true);
    }

    /// <summary>No more changes will come; what is there can still be read.</summary>
    internal void Complete() => _signal.Writer.TryComplete();
}
