using System.Buffers.Binary;
using Quorumail.Cluster.Journal;

namespace Quorumail.Cluster.Log;

/// <summary>
/// The states that one log makes: the cluster's own, the application's, and the shared state if there is one. A snapshot
/// holds all of them, each as of an index of its own, the cluster's the lowest:
/// <code>
/// for each state: target (1 byte), parts (length, 4 bytes little-endian, and bytes; a length of 0 ends them), index (8 bytes)
/// then the byte 255
/// </code>
/// </summary>
internal sealed class ReplicatedStates
{
    private const byte End = 255;

    private readonly (CommandTarget Target, IReplicatedState State)[] _others;
    private Cut? _waiting;

    /// <summary>Puts the states together and checks that none has lost what the cluster's file says it held.</summary>
    /// <exception cref="JournalException">A state's files are missing or older.</exception>
    public ReplicatedStates(ClusterState cluster, IReplicatedState application, IReplicatedState? store = null)
    {
        Cluster = cluster;
        Application = application;
        Store = store;
        _others = store is null
            ? [(CommandTarget.Application, application)]
            : [(CommandTarget.Application, application), (CommandTarget.Store, store)];
        for (int i = 0; i < Math.Min(_others.Length, cluster.Recorded.Length); i++)
        {
            if (_others[i].State.AppliedIndex < cluster.Recorded[i])
            {
                throw new JournalException(
                    $"The {_others[i].Target} state ends at entry {_others[i].State.AppliedIndex}, but held {cluster.Recorded[i]} when the log forgot: its files are missing or older. This node's disk counts as wiped.");
            }
        }
    }

    /// <summary>The cluster's own.</summary>
    public ClusterState Cluster { get; }

    /// <summary>The application's.</summary>
    public IReplicatedState Application { get; }

    /// <summary>The shared state, if there is one.</summary>
    public IReplicatedState? Store { get; }

    /// <summary>Whether applying may have to wait for a disk that is behind.</summary>
    public bool MayWait => Application.MayWait;

    /// <summary>The highest index that one of the states holds.</summary>
    public long AppliedIndex => Math.Max(Cluster.AppliedIndex, _others.Max(o => o.State.AppliedIndex));

    /// <summary>
    /// Makes what is applied durable and returns the index up to which the log may forget. A state may write beside the
    /// applying and be durable up to an earlier flush only; then that flush is what the log may forget by.
    /// </summary>
    public async ValueTask<long> FlushAsync(CancellationToken token)
    {
        Cut now = new(Render(out long[] applied), applied);
        long[] durable = new long[_others.Length];
        for (int i = 0; i < _others.Length; i++)
        {
            durable[i] = await _others[i].State.FlushAsync(token);
        }

        if (now.IsCoveredBy(durable))
        {
            Cluster.Save(now.Cluster);
            _waiting = null;
        }
        else if (_waiting is { } earlier && earlier.IsCoveredBy(durable))
        {
            Cluster.Save(earlier.Cluster);
            _waiting = now;
        }
        else
        {
            _waiting ??= now;
        }

        return Cluster.DurableIndex;
    }

    /// <summary>Writes all states and returns the highest index that one is as of.</summary>
    public async ValueTask<long> SaveSnapshotAsync(Stream destination, CancellationToken token)
    {
        // The cluster's first: it must not be ahead of the others.
        byte[] cluster = Render(out _);
        long highest = ClusterState.IndexOf(cluster);
        await WriteSectionAsync(destination, CommandTarget.Cluster, WriteClusterAsync, token);
        foreach ((CommandTarget target, IReplicatedState state) in _others)
        {
            long index = await WriteSectionAsync(destination, target, async parts => await state.SaveSnapshotAsync(parts, token), token);
            highest = Math.Max(highest, index);
        }

        await destination.WriteAsync(new[] { End }, token);
        return highest;

        async ValueTask<long> WriteClusterAsync(Stream parts)
        {
            await parts.WriteAsync(cluster, token);
            return ClusterState.IndexOf(cluster);
        }
    }

    /// <summary>Replaces all states, durably; if that is interrupted, it has to be done again from the start.</summary>
    /// <exception cref="InvalidDataException">The snapshot holds a state that this node does not have.</exception>
    public async ValueTask LoadSnapshotAsync(Stream source, CancellationToken token)
    {
        byte[]? cluster = null;
        byte[] head = new byte[1];
        while (true)
        {
            await source.ReadExactlyAsync(head, token);
            if (head[0] == End)
            {
                break;
            }

            SnapshotSection section = new(source);
            await using (section)
            {
                if (head[0] == (byte)CommandTarget.Cluster)
                {
                    using MemoryStream bytes = new();
                    await section.CopyToAsync(bytes, token);
                    cluster = bytes.ToArray();
                    await ReadIndexAsync(source, token);
                    continue;
                }

                IReplicatedState state = _others.FirstOrDefault(o => (byte)o.Target == head[0]).State
                    ?? throw new InvalidDataException($"The snapshot holds a state of kind {head[0]}, which this node does not have.");
                await state.LoadSnapshotAsync(section, await section.IndexAsync(token), token);
                await section.DrainAsync(token);
                await ReadIndexAsync(source, token);
            }
        }

        Cluster.Restore(cluster ?? throw new InvalidDataException("The snapshot lacks the cluster's own state."));
        _waiting = null; // Of an earlier history than the snapshot's.
        Cluster.Save(Render(out _));
        _waiting = null;
    }

    /// <summary>The cluster's state at some moment, and what the others had applied then.</summary>
    private sealed record Cut(byte[] Cluster, long[] Applied)
    {
        // A state that none of the latest entries concerned is behind the index, and complete all the same.
        public bool IsCoveredBy(long[] durable)
        {
            for (int i = 0; i < durable.Length; i++)
            {
                if (durable[i] < Applied[i])
                {
                    return false;
                }
            }

            return true;
        }
    }

    private byte[] Render(out long[] applied)
    {
        lock (Cluster.Entry)
        {
            applied = [.. _others.Select(o => o.State.AppliedIndex)];
            return Cluster.Render(applied);
        }
    }

    private static async ValueTask<long> WriteSectionAsync(
        Stream destination, CommandTarget target, Func<Stream, ValueTask<long>> write, CancellationToken token)
    {
        await destination.WriteAsync(new[] { (byte)target }, token);
        SnapshotParts parts = new(destination);
        long index;
        await using (parts)
        {
            index = await write(parts);
            await parts.EndAsync(token);
        }

        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, index);
        await destination.WriteAsync(bytes, token);
        return index;
    }

    private static async ValueTask<long> ReadIndexAsync(Stream source, CancellationToken token)
    {
        byte[] bytes = new byte[8];
        await source.ReadExactlyAsync(bytes, token);
        return BinaryPrimitives.ReadInt64LittleEndian(bytes);
    }
}
