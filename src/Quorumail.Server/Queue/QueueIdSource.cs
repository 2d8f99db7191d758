using Quorumail.Core.Mail;

namespace Quorumail.Server.Queue;

/// <summary>
/// Makes queue ids: the wall clock's milliseconds, which here never go back, and 32 bits that start at random in each
/// millisecond and step at random within it, so that one process makes no id twice.
/// </summary>
internal sealed class QueueIdSource(TimeProvider time)
{
    private const int StepMax = 1 << 16;

    private readonly Lock _gate = new();
    private long _milliseconds = -1;
    private uint _random;

    /// <summary>A new id, of a time after <paramref name="floor"/>.</summary>
    public QueueId Next(long floor)
    {
        var now = Math.Max(time.GetUtcNow().ToUnixTimeMilliseconds(), floor + 1);
        lock (_gate)
        {
            if (now > _milliseconds)
            {
                _milliseconds = now;
                _random = (uint)Random.Shared.NextInt64(1L << 32);
            }
            else
            {
                // A clock that went back, or so many ids that the 32 bits might wrap, would take some hours to matter.
                _random += 1 + (uint)Random.Shared.Next(StepMax);
            }

            return QueueId.Create(_milliseconds, _random);
        }
    }
}
