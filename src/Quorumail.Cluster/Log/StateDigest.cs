using System.IO.Hashing;
using System.Runtime.InteropServices;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Log;

/// <summary>
/// Hashes how entries are applied, stretch by stretch: each one's time, and what its commands were answered. The states themselves
/// are too large to be compared all the time, but commands act on what the ones before have made: a difference is seen when it
/// makes an answer another one. Nothing of it is kept on disk: a stretch of which a state knew an entry already has no hash here.
/// </summary>
/// <remarks><see cref="Entry"/>, <see cref="Answered"/> and <see cref="Skipped"/> are for the applying thread.</remarks>
internal sealed class StateDigest
{
    /// <summary>Entries of a stretch; all nodes must have the same.</summary>
    public const int Stretch = 512;

    /// <summary>Stretches that are remembered: a node that lags is compared by one that has gone on.</summary>
    private const int Kept = 64;

    private readonly Lock _lock = new();
    private readonly StateClaim[] _kept = new StateClaim[Kept];
    private readonly XxHash3 _hash = new();
    private long _latest;
    private long _next = 1;
    private bool _isWhole = true;

    /// <summary>The latest stretch that was applied here whole; null before the first.</summary>
    public StateClaim? Latest
    {
        get
        {
            lock (_lock)
            {
                return _latest == 0 ? null : _kept[SlotOf(_latest)];
            }
        }
    }

    /// <summary>Whether another node's claim is what was seen here; null if this node can't tell.</summary>
    public bool? Confirms(StateClaim claim)
    {
        lock (_lock)
        {
            StateClaim own = _kept[SlotOf(claim.UpTo)];
            return claim.UpTo > 0 && own.UpTo == claim.UpTo ? own.Hash == claim.Hash : null;
        }
    }

    /// <summary>An entry has been applied, of which <see cref="Answered"/> and <see cref="Skipped"/> have told.</summary>
    /// <param name="index">Its index; a gap makes the stretch one without a hash.</param>
    /// <param name="stamp">Its time; 0 if it has none.</param>
    public void Entry(long index, long stamp)
    {
        _isWhole &= index == _next;
        _next = index + 1;
        _hash.Append(MemoryMarshal.AsBytes(new ReadOnlySpan<long>(in stamp)));
        if (index % Stretch != 0)
        {
            return;
        }

        if (_isWhole)
        {
            lock (_lock)
            {
                _kept[SlotOf(index)] = new StateClaim(index, _hash.GetCurrentHashAsUInt64());
                _latest = index;
            }
        }

        _hash.Reset();
        _isWhole = true;
    }

    /// <summary>A state has applied commands of the entry and answered.</summary>
    public void Answered(ReadOnlySpan<ReadOnlyMemory<byte>> answers)
    {
        foreach (ReadOnlyMemory<byte> answer in answers)
        {
            int length = answer.Length;
            _hash.Append(MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in length)));
            _hash.Append(answer.Span);
        }
    }

    /// <summary>A state held the entry already, and what it answered is not known.</summary>
    public void Skipped() => _isWhole = false;

    private static int SlotOf(long index) => (int)(index / Stretch % Kept);
}
