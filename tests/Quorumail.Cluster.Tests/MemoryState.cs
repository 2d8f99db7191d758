using System.Buffers.Binary;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Tests;

/// <summary>A state in memory that counts; its "disk" is what survives <see cref="Reopen"/>.</summary>
internal sealed class MemoryState : IReplicatedState
{
    private readonly Lock _lock = new();
    private readonly List<(long Index, byte[] Command)> _applied = [];
    private long _appliedIndex;
    private long _durableIndex;
    private int _durableCount;
    private long _lateIndex;
    private int _callers;

    public long AppliedIndex => Volatile.Read(ref _appliedIndex);

    public long LastStamp { get; private set; }

    /// <summary>The stamps with which entries were applied here, by index.</summary>
    public Dictionary<long, long> Stamps { get; } = [];

    /// <summary>Called when a snapshot is to be made, before its contents are settled.</summary>
    public Func<Task>? SaveBegins { get; set; }

    /// <summary>Called when the contents of a snapshot are settled, before they are written.</summary>
    public Func<Task>? Saving { get; set; }

    /// <summary>Called before a snapshot replaces what is here.</summary>
    public Func<Task>? Loading { get; set; }

    /// <summary>Called before an entry is applied.</summary>
    public Action? Applying { get; init; }

    /// <summary>What commands of an entry are answered; null: themselves.</summary>
    public Func<long, byte[]?>? Answer { get; init; }

    /// <summary>Whether FlushAsync is one behind: durable is what was applied at the flush before.</summary>
    public bool IsLate { get; init; }

    /// <summary>Throws out of Apply when it sees this command.</summary>
    public byte[]? Poison { get; init; }

    /// <summary>Whether FlushAsync makes anything durable.</summary>
    public bool Durable { get; set; } = true;

    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _applied.Count;
            }
        }
    }

    public int Flushes { get; private set; }

    public int Saves { get; private set; }

    public List<(long Index, byte[] Command)> Applied
    {
        get
        {
            lock (_lock)
            {
                return [.. _applied];
            }
        }
    }

    public void Apply(long index, long stamp, IReadOnlyList<ReadOnlyMemory<byte>> commands, Span<ReadOnlyMemory<byte>> answers)
    {
        using Exclusive exclusive = new(this);
        Applying?.Invoke();
        Assert.True(index > _appliedIndex, $"entry {index} after {_appliedIndex}");
        Assert.True(stamp >= LastStamp, $"stamp {stamp} after {LastStamp}");
        LastStamp = stamp;
        lock (_lock)
        {
            Stamps[index] = stamp;
            for (int i = 0; i < commands.Count; i++)
            {
                byte[] command = commands[i].ToArray();
                if (Poison is not null && command.AsSpan().SequenceEqual(Poison))
                {
                    throw new InvalidOperationException("poisoned command");
                }

                _applied.Add((index, command));
                answers[i] = Answer?.Invoke(index) ?? command;
            }

            Volatile.Write(ref _appliedIndex, index);
        }
    }

    /// <summary>First bytes of the commands that were recalled.</summary>
    public List<byte> Recalled { get; } = [];

    public void Recall(IReadOnlyList<ReadOnlyMemory<byte>> commands)
    {
        using Exclusive exclusive = new(this);
        Recalled.AddRange(commands.Select(command => command.Span[0]));
    }

    public async ValueTask<long> FlushAsync(CancellationToken token)
    {
        await Task.Yield();
        if (Durable)
        {
            lock (_lock)
            {
                _durableIndex = IsLate ? _lateIndex : _appliedIndex;
                _durableCount = _applied.Count(a => a.Index <= _durableIndex);
                _lateIndex = _appliedIndex;
            }
        }

        Flushes++;
        return _durableIndex;
    }

    /// <summary>What a new process would find: the flushed part alone.</summary>
    public MemoryState Reopen()
    {
        MemoryState state = new() { _appliedIndex = _durableIndex, _durableIndex = _durableIndex, _durableCount = _durableCount };
        state._applied.AddRange(_applied[.._durableCount]);
        return state;
    }

    public async ValueTask<long> SaveSnapshotAsync(Stream destination, CancellationToken token)
    {
        Saves++;
        await (SaveBegins?.Invoke() ?? Task.CompletedTask);
        List<(long Index, byte[] Command)> applied;
        long appliedIndex;
        lock (_lock)
        {
            applied = [.. _applied];
            appliedIndex = _appliedIndex;
        }

        await (Saving?.Invoke() ?? Task.CompletedTask);
        foreach ((long index, byte[] command) in applied)
        {
            byte[] header = new byte[12];
            BinaryPrimitives.WriteInt64LittleEndian(header, index);
            BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(8), command.Length);
            await destination.WriteAsync(header, token);
            await destination.WriteAsync(command, token);
        }

        return appliedIndex;
    }

    public async ValueTask LoadSnapshotAsync(Stream source, long index, CancellationToken token)
    {
        using Exclusive exclusive = new(this);
        await (Loading?.Invoke() ?? Task.CompletedTask);
        List<(long Index, byte[] Command)> loaded = [];
        byte[] header = new byte[12];
        while (await source.ReadAtLeastAsync(header, header.Length, throwOnEndOfStream: false, token) == header.Length)
        {
            byte[] command = new byte[BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8))];
            await source.ReadExactlyAsync(command, token);
            loaded.Add((BinaryPrimitives.ReadInt64LittleEndian(header), command));
        }

        lock (_lock)
        {
            _applied.Clear();
            _applied.AddRange(loaded);
            _appliedIndex = _durableIndex = index;
            _durableCount = loaded.Count;
        }
    }

    /// <summary>Proves that the log calls one at a time.</summary>
    private readonly struct Exclusive : IDisposable
    {
        private readonly MemoryState _state;

        public Exclusive(MemoryState state)
        {
            _state = state;
            Assert.Equal(1, Interlocked.Increment(ref state._callers));
        }

        public void Dispose() => Interlocked.Decrement(ref _state._callers);
    }
}
