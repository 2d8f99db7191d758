using System.Buffers.Binary;
using System.IO.Hashing;
using Quorumail.Cluster.Disk;
using Quorumail.Cluster.Journal;

namespace Quorumail.Cluster.Log;

/// <summary>
/// The cluster's own part of the replicated state: which incarnations there are, which proposals have been applied, and the
/// feature level. Kept in memory, and in a file that is replaced each time the log forgets. The file is never ahead of the
/// other states' durable parts, so that what they have to apply again is judged as it was the first time.
/// </summary>
internal sealed class ClusterState
{
    /// <summary>The engine names a member by node and incarnation, the latter in the place of a port.</summary>
    public const int MaxIncarnation = ushort.MaxValue;

    private const byte Version = 1;
    private const int NoAnswer = -1;

    private readonly string? _path;
    private readonly Lock _lock = new();
    private readonly SortedDictionary<int, KnownIncarnation> _incarnations = [];
    private readonly SortedDictionary<ulong, ProposalWindow> _windows = [];
    private int _lastIncarnation = 1; // The founder's.
    private int _featureLevel;
    private long _appliedIndex;

    /// <summary>Reads the file, if there is one.</summary>
    /// <param name="path">Of the file; null to keep nothing.</param>
    /// <exception cref="JournalException">The file is damaged, or of a version that this program does not read.</exception>
    public ClusterState(string? path)
    {
        _path = path;
        if (path is not null && File.Exists(path))
        {
            byte[] bytes = File.ReadAllBytes(path);
            if (bytes.Length < 8 || XxHash3.HashToUInt64(bytes.AsSpan(0, bytes.Length - 8)) != BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(bytes.Length - 8)))
            {
                throw new JournalException($"{path} is damaged. This node's disk counts as wiped.");
            }

            Restore(bytes.AsSpan(0, bytes.Length - 8).ToArray());
            DurableIndex = _appliedIndex;
        }
    }

    /// <summary>Held while an entry is applied to all states: between two entries they agree.</summary>
    public Lock Entry { get; } = new();

    /// <summary>Index of the last entry applied.</summary>
    public long AppliedIndex => Volatile.Read(ref _appliedIndex);

    /// <summary>Index up to which the file goes.</summary>
    public long DurableIndex { get; private set; }

    /// <summary>What the other states had applied when the file was written; they may not hold less.</summary>
    public long[] Recorded { get; private set; } = [];

    /// <summary>The level that all members have known at once; never falls.</summary>
    public int FeatureLevel => Volatile.Read(ref _featureLevel);

    /// <summary>The incarnations that are not struck.</summary>
    public IReadOnlyList<KnownIncarnation> Living
    {
        get
        {
            lock (_lock)
            {
                return [.. _incarnations.Values.Where(i => !i.IsStruck)];
            }
        }
    }

    /// <summary>What is known of an incarnation.</summary>
    public KnownIncarnation? Find(int incarnation)
    {
        lock (_lock)
        {
            return _incarnations.GetValueOrDefault(incarnation);
        }
    }

    /// <summary>Whether a numbered proposal is to be applied; if not, gives the answer that it got when it was.</summary>
    /// <param name="incarnation">Of the proposer.</param>
    /// <param name="sequence">Its number.</param>
    /// <param name="answer">What the first one was answered.</param>
    /// <param name="isFinished">
    /// Whether nothing is known of the answer: nobody waits for it, its proposer is struck, or it came here in a snapshot without it.
    /// </param>
    public bool TryBegin(ulong incarnation, ulong sequence, out ReadOnlyMemory<byte> answer, out bool isFinished)
    {
        answer = default;
        isFinished = true;
        lock (_lock)
        {
            if (_incarnations.TryGetValue((int)incarnation, out KnownIncarnation? known) && known.IsStruck)
            {
                return false;
            }

            if (!_windows.TryGetValue(incarnation, out ProposalWindow? window))
            {
                // Of the first numbers of a life the second may come first.
                _windows.Add(incarnation, window = new ProposalWindow(sequence & ~(ulong)uint.MaxValue));
            }

            bool isFirst = window.TryBegin(sequence, out ReadOnlyMemory<byte>? kept);
            answer = kept ?? default;
            isFinished = !isFirst && kept is null;
            return isFirst;
        }
    }

    /// <summary>The answer that a numbered proposal got when it was applied; nothing if that is not known here.</summary>
    public ReadOnlyMemory<byte>? Recall(ulong incarnation, ulong sequence)
    {
        lock (_lock)
        {
            return _windows.GetValueOrDefault(incarnation)?.Answer(sequence);
        }
    }

    /// <summary>Keeps the answer to a numbered proposal.</summary>
    public void Answered(ulong incarnation, ulong sequence, ReadOnlyMemory<byte> answer)
    {
        lock (_lock)
        {
            _windows.GetValueOrDefault(incarnation)?.Answered(sequence, answer);
        }
    }

    /// <summary>Applies one of the cluster's own commands; one of a kind that is not known changes nothing.</summary>
    public ReadOnlyMemory<byte> Apply(in LoggedCommand command)
    {
        if (command.Body.IsEmpty)
        {
            return default;
        }

        ReadOnlySpan<byte> fields = command.Body.Span[1..];
        lock (_lock)
        {
            switch ((ClusterCommand.Kind)command.Body.Span[0])
            {
                case ClusterCommand.Kind.Acknowledge when fields.Length == 8:
                    Acknowledge(command.Incarnation, BinaryPrimitives.ReadUInt64LittleEndian(fields));
                    return default;
                case ClusterCommand.Kind.Admit:
                    return Admit(fields.ToArray());
                case ClusterCommand.Kind.Strike when fields.Length == 4:
                    Strike(BinaryPrimitives.ReadInt32LittleEndian(fields));
                    return default;
                case ClusterCommand.Kind.RaiseFeatureLevel when fields.Length == 4:
                    Volatile.Write(ref _featureLevel, Math.Max(_featureLevel, BinaryPrimitives.ReadInt32LittleEndian(fields)));
                    return default;
                case ClusterCommand.Kind.Locate:
                    Locate(fields.ToArray());
                    return default;
                default:
                    return default;
            }
        }
    }

    /// <summary>Everything up to an entry is applied.</summary>
    public void AppliedUpTo(long index) => Volatile.Write(ref _appliedIndex, index);

    /// <summary>Writes the file, durably.</summary>
    /// <param name="content">What <see cref="Render"/> gave.</param>
    public void Save(byte[] content)
    {
        if (_path is not null)
        {
            byte[] bytes = new byte[content.Length + 8];
            content.CopyTo(bytes, 0);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(content.Length), XxHash3.HashToUInt64(content));
            DurableFile.Replace(_path, bytes);
        }

        DurableIndex = IndexOf(content);
    }

    /// <summary>The index that rendered bytes are as of.</summary>
    public static long IndexOf(byte[] content) => BinaryPrimitives.ReadInt64LittleEndian(content.AsSpan(1));

    /// <summary>The whole state as bytes; to be called between two entries (<see cref="Entry"/>).</summary>
    /// <param name="recorded">What the other states have applied.</param>
    public byte[] Render(long[] recorded)
    {
        Recorded = recorded;
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        lock (_lock)
        {
            writer.Write(Version);
            writer.Write(_appliedIndex);
            writer.Write(Recorded.Length);
            Array.ForEach(Recorded, writer.Write);
            writer.Write(_featureLevel);
            writer.Write(_lastIncarnation);
            writer.Write(_incarnations.Count);
            foreach (KnownIncarnation known in _incarnations.Values)
            {
                writer.Write(known.Incarnation);
                writer.Write(known.IsStruck);
                writer.Write(known.Disk.ToByteArray());
                ClusterCommand.WriteText(writer, known.NodeId);
                ClusterCommand.WriteText(writer, known.Address);
            }

            writer.Write(_windows.Count);
            foreach ((ulong incarnation, ProposalWindow window) in _windows)
            {
                (ulong Sequence, ReadOnlyMemory<byte>? Answer)[] applied = [.. window.Applied()];
                writer.Write(incarnation);
                writer.Write(window.Lowest);
                writer.Write(applied.Length);
                foreach ((ulong sequence, ReadOnlyMemory<byte>? answer) in applied)
                {
                    writer.Write(sequence);
                    writer.Write(answer?.Length ?? NoAnswer);
                    writer.Write((answer ?? default).Span);
                }
            }
        }

        writer.Flush();
        return stream.ToArray();
    }

    /// <summary>Takes over what <see cref="Render"/> gave.</summary>
    /// <exception cref="JournalException">It is of a version that this program does not read, or damaged.</exception>
    public void Restore(byte[] bytes)
    {
        try
        {
            using BinaryReader reader = new(new MemoryStream(bytes, writable: false));
            byte version = reader.ReadByte();
            if (version != Version)
            {
                throw new JournalException($"The cluster's state is of format {version}; this version reads format {Version}.");
            }

            lock (_lock)
            {
                Read(reader);
            }
        }
        catch (Exception damage) when (damage is EndOfStreamException or ArgumentException)
        {
            throw new JournalException("The cluster's state is damaged.", damage);
        }
    }

    private void Read(BinaryReader reader)
    {
        _incarnations.Clear();
        _windows.Clear();
        Volatile.Write(ref _appliedIndex, reader.ReadInt64());
        long[] recorded = new long[reader.ReadInt32()];
        for (int i = 0; i < recorded.Length; i++)
        {
            recorded[i] = reader.ReadInt64();
        }

        Recorded = recorded;
        Volatile.Write(ref _featureLevel, reader.ReadInt32());
        _lastIncarnation = reader.ReadInt32();
        for (int left = reader.ReadInt32(); left > 0; left--)
        {
            int incarnation = reader.ReadInt32();
            bool isStruck = reader.ReadBoolean();
            Guid disk = new(reader.ReadBytes(16));
            _incarnations.Add(incarnation, new KnownIncarnation(incarnation, ClusterCommand.ReadText(reader), ClusterCommand.ReadText(reader), disk, isStruck));
        }

        for (int left = reader.ReadInt32(); left > 0; left--)
        {
            ulong incarnation = reader.ReadUInt64();
            ProposalWindow window = new(reader.ReadUInt64());
            for (int answers = reader.ReadInt32(); answers > 0; answers--)
            {
                ulong sequence = reader.ReadUInt64();
                int length = reader.ReadInt32();
                window.TryBegin(sequence, out _);
                if (length != NoAnswer)
                {
                    window.Answered(sequence, reader.ReadBytes(length));
                }
            }

            _windows.Add(incarnation, window);
        }
    }

    private void Acknowledge(ulong incarnation, ulong lowest)
    {
        if (_windows.TryGetValue(incarnation, out ProposalWindow? window))
        {
            window.Forget(lowest);
        }
        else
        {
            _windows.Add(incarnation, new ProposalWindow(lowest));
        }
    }

    // The answer is the incarnation, or nothing if all numbers have been given.
    private byte[] Admit(byte[] fields)
    {
        int wanted;
        Guid disk;
        string nodeId;
        string address;
        try
        {
            using BinaryReader reader = new(new MemoryStream(fields, writable: false));
            wanted = reader.ReadInt32();
            disk = new Guid(reader.ReadBytes(16));
            nodeId = ClusterCommand.ReadText(reader);
            address = ClusterCommand.ReadText(reader);
        }
        catch (Exception malformed) when (malformed is EndOfStreamException or ArgumentException)
        {
            return [];
        }

        KnownIncarnation? known = wanted > 0 ? _incarnations.GetValueOrDefault(wanted) : _incarnations.Values.FirstOrDefault(i => i.Disk == disk && string.Equals(i.NodeId, nodeId, StringComparison.Ordinal));
        if (known is { IsStruck: true } || (known is null && _lastIncarnation >= MaxIncarnation))
        {
            return [];
        }

        if (known is null)
        {
            known = new KnownIncarnation(wanted > 0 ? wanted : _lastIncarnation + 1, nodeId, address, disk, IsStruck: false);
            _lastIncarnation = Math.Max(_lastIncarnation, known.Incarnation);
            _incarnations.Add(known.Incarnation, known);
        }

        byte[] answer = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(answer, known.Incarnation);
        return answer;
    }

    private void Strike(int incarnation)
    {
        KnownIncarnation known = _incarnations.GetValueOrDefault(incarnation) ?? new KnownIncarnation(incarnation, string.Empty, string.Empty, Guid.Empty, IsStruck: true);
        _incarnations[incarnation] = known with { IsStruck = true };
        _lastIncarnation = Math.Max(_lastIncarnation, incarnation);
        _windows.Remove((ulong)incarnation);
    }

    private void Locate(byte[] fields)
    {
        try
        {
            using BinaryReader reader = new(new MemoryStream(fields, writable: false));
            if (_incarnations.TryGetValue(reader.ReadInt32(), out KnownIncarnation? known))
            {
                _incarnations[known.Incarnation] = known with { Address = ClusterCommand.ReadText(reader) };
            }
        }
        catch (Exception malformed) when (malformed is EndOfStreamException or ArgumentException)
        {
            // Nothing that this program writes; ignored alike everywhere.
        }
    }
}
