using System.Buffers;
using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Quorumail.Core.Mail;

namespace Quorumail.Server.Storage;

/// <summary>
/// Bodies that came with their messages in the log and that the database does not have yet; most messages are gone before it
/// needs them. The log keeps them until then. All members are safe for concurrent use.
/// </summary>
internal sealed class CarriedBodies
{
    /// <summary>Octets above which mail goes beside the log again, where it waits for a disk that is behind.</summary>
    internal const long RoomMax = 32 << 20;

    /// <summary>Octets above which applying waits, for the other nodes' mail, too.</summary>
    internal const long Max = 4 * RoomMax;

    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(100);

    private readonly ConcurrentDictionary<QueueId, ReadOnlyMemory<byte>> _bodies = new();

    // Waited on while there are too many octets.
    private readonly object _gate = new();
    private long _octets;

    /// <summary>Whether more may come from this node.</summary>
    public bool HasRoom => Interlocked.Read(ref _octets) < RoomMax;

    /// <summary>Takes a body; the memory is the collection's.</summary>
    public void Add(QueueId id, ReadOnlyMemory<byte> record)
    {
        if (_bodies.TryAdd(id, record))
        {
            Interlocked.Add(ref _octets, record.Length);
        }
    }

    /// <summary>Forgets a body that the database has, or that nobody needs.</summary>
    public void Remove(QueueId id)
    {
        if (_bodies.TryRemove(id, out var record))
        {
            var before = Interlocked.Add(ref _octets, -record.Length) + record.Length;
            if (before > Max)
            {
                lock (_gate)
                {
                    Monitor.PulseAll(_gate);
                }
            }
        }
    }

    /// <summary>Waits until there are no more than <see cref="Max"/> octets, or until there is no hope of that.</summary>
    /// <param name="isHopeless">Whether the database has failed.</param>
    public void WaitForRoom(Func<bool> isHopeless)
    {
        if (Interlocked.Read(ref _octets) <= Max)
        {
            return;
        }

        lock (_gate)
        {
            while (Interlocked.Read(ref _octets) > Max && !isHopeless())
            {
                Monitor.Wait(_gate, Look);
            }
        }
    }

    /// <summary>The record of a body, if it is here.</summary>
    public bool TryGet(QueueId id, out ReadOnlyMemory<byte> record) => _bodies.TryGetValue(id, out record);

    /// <summary>The record of a body in an array of the shared pool, if it is here.</summary>
    public bool TryRent(QueueId id, [NotNullWhen(true)] out byte[]? record, out int length)
    {
        if (!_bodies.TryGetValue(id, out var found))
        {
            (record, length) = (null, 0);
            return false;
        }

        length = found.Length;
        record = ArrayPool<byte>.Shared.Rent(length);
        found.Span.CopyTo(record);
        return true;
    }
}
