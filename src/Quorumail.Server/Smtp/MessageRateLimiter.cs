using System.Collections.Concurrent;
using System.Net;

namespace Quorumail.Server.Smtp;

/// <summary>Bounds the messages of one client address in a minute, on this node. Windows are fixed; memory is bounded.</summary>
public sealed class MessageRateLimiter
{
    private const int AddressesMax = 100_000;
    private static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    private readonly int _messagesMax;
    private readonly TimeProvider _time;
    private ConcurrentDictionary<IPAddress, StrongCount> _counts = new();
    private long _windowEnd;

    /// <param name="messagesMax">Messages a minute; 0 for no limit.</param>
    /// <param name="time">Its monotonic clock is used.</param>
    public MessageRateLimiter(int messagesMax, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(time);
        _messagesMax = messagesMax;
        _time = time;
        _windowEnd = EndOfWindow();
    }

    /// <summary>Counts a message; false if it is one too many.</summary>
    public bool TryTake(IPAddress client)
    {
        if (_messagesMax == 0)
        {
            return true;
        }

        var end = Volatile.Read(ref _windowEnd);
        if (_time.GetTimestamp() >= end && Interlocked.CompareExchange(ref _windowEnd, EndOfWindow(), end) == end)
        {
            Volatile.Write(ref _counts, new ConcurrentDictionary<IPAddress, StrongCount>());
        }

        var counts = Volatile.Read(ref _counts);

        // More addresses than are counted can only be an attack from very many: those share one count.
        var key = counts.Count < AddressesMax || counts.ContainsKey(client) ? client : IPAddress.None;
        return counts.GetOrAdd(key, static _ => new StrongCount()).Increment() <= _messagesMax;
    }

    private long EndOfWindow() => _time.GetTimestamp() + (long)(Window.TotalSeconds * _time.TimestampFrequency);

    private sealed class StrongCount
    {
        private int _value;

        public int Increment() => Interlocked.Increment(ref _value);
    }
}
