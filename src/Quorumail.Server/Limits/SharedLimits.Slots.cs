using Quorumail.Core.Limits;
using Quorumail.Server.Http;

namespace Quorumail.Server.Limits;

/// <content>Slots of connections: asked for one at a time, kept leased while they are used, used again for a moment, then given back.</content>
public sealed partial class SharedLimits
{
    /// <summary>A connection is closed so many milliseconds before the end of its lease: closing takes some time, and so does noticing it.</summary>
    private const long ClosingTime = 2000;

    /// <summary>A slot that nobody has wanted for so many milliseconds is given back.</summary>
    private const long SlotIdleTime = 500;

    /// <summary>Who has had a slot for long asks for none in so many milliseconds; longer than others wait who were refused one.</summary>
    private const long TurnPause = 1200;

    private static readonly TimeSpan SlotInterval = TimeSpan.FromMilliseconds(250);

    private readonly HashSet<ConnectionSlot> _slots = [];
    private readonly Dictionary<(string Limit, string Key), List<ConnectionSlot>> _free = [];
    private readonly Dictionary<(string Limit, string Key), long> _pausedUntil = [];

    /// <summary>Cluster time.</summary>
    internal long Now => _clusterTime();

    /// <summary>Slots that are held, used or not.</summary>
    internal int SlotCount
    {
        get
        {
            lock (_lock)
            {
                return _slots.Count;
            }
        }
    }

    /// <summary>Takes a slot for a connection.</summary>
    /// <param name="limit">Which limit.</param>
    /// <param name="key">Which key.</param>
    /// <param name="token">Ends the waiting for the log.</param>
    /// <returns>The slot, or null and when it makes sense to try again; 0 if there is no such limit.</returns>
    internal async ValueTask<(ConnectionSlot? Slot, long Until)> OpenAsync(string limit, string key, CancellationToken token)
    {
        while (true)
        {
            Task wait;
            lock (_lock)
            {
                var now = Now;
                Refresh(now);
                if (!_known.Has(limit))
                {
                    return (null, 0);
                }

                if (TakeFree((limit, key), now) is { } free)
                {
                    return (free, 0);
                }

                if (_pausedUntil.TryGetValue((limit, key), out var paused) && now < paused)
                {
                    return (null, paused);
                }

                var decision = _ledger.Open(limit, key, now);
                switch (decision.Verdict)
                {
                    case LimitVerdict.Passed:
                        return (Hold(decision.Slot!, now), 0);
                    case LimitVerdict.Refused:
                        Metrics.LimitRefusals.WithLabels(limit).Inc();
                        return (null, decision.Until);
                    case LimitVerdict.Ask:
                        wait = BeginAskAsync((limit, key), asked => AskAsync((WantSlotCommand)decision.Ask!, asked));
                        break;
                    default:
                        wait = _asked[(limit, key)].Task;
                        break;
                }
            }

            await wait.WaitAsync(token);
        }
    }

    /// <summary>A slot's connection is closed. It serves the next one, for a while.</summary>
    internal void Close(ConnectionSlot slot, bool isSeen)
    {
        FreeSlotCommand? free = null;
        lock (_lock)
        {
            var now = Now;
            slot.UsableAt = isSeen ? now : now + (long)ConnectionSlot.UnseenTime.TotalMilliseconds;
            if (isSeen && slot.IsOverAt(now))
            {
                free = Release(slot, now);
            }
            else
            {
                var key = (slot.Held.Limit, slot.Held.Key);
                if (!_free.TryGetValue(key, out var slots))
                {
                    _free.Add(key, slots = []);
                }

                slots.Add(slot);
            }
        }

        if (free is not null)
        {
            _ = TryProposeAsync(free, _stop.Token);
        }
    }

    private ConnectionSlot Hold(HeldSlot held, long now)
    {
        ConnectionSlot slot = new(this, held, now);
        _slots.Add(slot);
        return slot;
    }

    private ConnectionSlot? TakeFree((string Limit, string Key) key, long now)
    {
        if (!_free.TryGetValue(key, out var slots)
            || slots.FindIndex(slot => slot.UsableAt <= now && !slot.IsOverAt(now) && !MustClose(slot, now)) is var at && at < 0)
        {
            return null;
        }

        var slot = slots[at];
        slots.RemoveAt(at);
        if (slots.Count == 0)
        {
            _free.Remove(key);
        }

        return slot;
    }

    // More connections are open than the share allows: each ends when it can, and the slots left are taken anew.
    private void EndOwnSlots()
    {
        foreach (var slot in _slots)
        {
            slot.IsGivenUp |= slot.Held.Number == 0;
        }
    }

    private bool MustClose(ConnectionSlot slot, long now) => _ledger.MustClose(slot.Held, now + ClosingTime);

    private FreeSlotCommand? Release(ConnectionSlot slot, long now)
    {
        _slots.Remove(slot);
        if (slot.Held.Number != 0 && slot.IsOverAt(now))
        {
            _pausedUntil[(slot.Held.Limit, slot.Held.Key)] = now + TurnPause;
        }

        return _ledger.Close(slot.Held);
    }

    private async Task AskAsync(WantSlotCommand want, TaskCompletionSource asked)
    {
        var answer = await AskAsync(want, want.Limit);
        lock (_lock)
        {
            var now = Now;
            if (_ledger.Answered(want, answer, now) is { } held)
            {
                // For whoever asked, or comes first.
                Close(Hold(held, now), isSeen: true);
            }

            _asked.Remove((want.Limit, want.Key));
        }

        asked.TrySetResult();
    }

    private async Task TendSlotsAsync(CancellationToken token)
    {
        try
        {
            using PeriodicTimer timer = new(SlotInterval, _time);
            while (await timer.WaitForNextTickAsync(token))
            {
                _ = TendNowAsync(SlotIdleTime, token);
            }
        }
        catch (OperationCanceledException)
        {
            // The node stops.
        }
    }

    // Waits for nothing: whatever the log does, connections are closed in time.
    private Task TendNowAsync(long idle, CancellationToken token)
    {
        List<LimitCommand> commands = [];
        List<ConnectionSlot> lost = [];
        List<Task> asking = [];
        lock (_lock)
        {
            var now = Now;
            foreach (var (key, slots) in _free.ToArray())
            {
                foreach (var slot in slots.Where(slot => slot.UsableAt + idle <= now).ToArray())
                {
                    slots.Remove(slot);
                    if (Release(slot, now) is { } free)
                    {
                        commands.Add(free);
                    }
                }

                if (slots.Count == 0)
                {
                    _free.Remove(key);
                }
            }

            foreach (var slot in _slots)
            {
                if (MustClose(slot, now))
                {
                    lost.Add(slot);
                }
                else if (!slot.IsAsked && _ledger.Keep(slot.Held) is { } keep && NeedsKeeping(slot.Held, now))
                {
                    slot.IsAsked = true;
                    asking.Add(KeepAsync(slot, keep, token));
                }
            }

            foreach (var (key, until) in _pausedUntil.ToArray())
            {
                if (until <= now)
                {
                    _pausedUntil.Remove(key);
                }
            }
        }

        foreach (var slot in lost)
        {
            try
            {
                slot.Lose();
            }
            catch (AggregateException failure)
            {
                // Its connection has failed in closing; the others must be closed in time all the same.
                LogNotClosed(_log, slot.Held.Limit, failure.Message);
            }
        }

        asking.AddRange(commands.Select(command => TryProposeAsync(command, token)));
        return Task.WhenAll(asking);
    }

    private bool NeedsKeeping(HeldSlot held, long now) =>
        _known.Limits.FirstOrDefault(limit => string.Equals(limit.Name, held.Limit, StringComparison.Ordinal)) is { } limit
        && held.Until - now < limit.Period * 2 / 3;

    private async Task KeepAsync(ConnectionSlot slot, KeepSlotCommand keep, CancellationToken token)
    {
        // Not under the caller's lock.
        await Task.Yield();
        LimitAnswer? answer = null;
        try
        {
            answer = await ProposeAsync(keep, Patience, token);
        }
        catch (Exception failure)
        {
            // Asked again until the lease is nearly over.
            LogNotAsked(_log, keep.Limit, failure.Message);
        }

        lock (_lock)
        {
            slot.Held.Kept(answer);
            slot.IsAsked = false;
        }
    }
}
