namespace Quorumail.Cluster.Log;

/// <summary>
/// Applies committed entries to the state, in order and each once, and keeps the cluster's clock. Called by the log,
/// one call at a time.
/// </summary>
internal sealed class StateApplier(IReplicatedState state)
{
    private readonly List<LoggedCommand> _commands = [];
    private readonly List<ReadOnlyMemory<byte>> _bodies = [];
    private ReadOnlyMemory<byte>[] _answers = new ReadOnlyMemory<byte>[16];
    private long _appliedIndex;
    private long _lastStamp;

    /// <summary>The clock that follows the stamps; set before the first proposal.</summary>
    public ClusterClock? Clock { get; set; }

    /// <summary>Index of the last entry applied, with or without commands.</summary>
    public long AppliedIndex => Volatile.Read(ref _appliedIndex);

    /// <summary>Highest stamp applied.</summary>
    public long LastStamp => Volatile.Read(ref _lastStamp);

    /// <summary>Takes over what a snapshot or the state's own recovery says.</summary>
    public void StartAt(long index, long stamp)
    {
        Volatile.Write(ref _appliedIndex, Math.Max(index, _appliedIndex));
        Volatile.Write(ref _lastStamp, Math.Max(stamp, _lastStamp));
    }

    /// <summary>
    /// Applies one entry; an entry that the state's own recovery already covers only moves the clock. Returns what the
    /// state answered, a slot for each command of the application, valid until the next call.
    /// </summary>
    /// <exception cref="LogFormatException">The entry is of a version that this program can't read.</exception>
    public ReadOnlySpan<ReadOnlyMemory<byte>> Apply(long index, ReadOnlyMemory<byte> entry)
    {
        if (entry.IsEmpty)
        {
            Volatile.Write(ref _appliedIndex, index);
            return default;
        }

        _commands.Clear();
        _bodies.Clear();
        long stamp = Math.Max(LogEntryFormat.Read(entry, _commands), _lastStamp);
        foreach (LoggedCommand command in _commands)
        {
            if (command.Target == CommandTarget.Application)
            {
                _bodies.Add(command.Body);
            }
        }

        if (_answers.Length < _bodies.Count)
        {
            _answers = new ReadOnlyMemory<byte>[Math.Max(_bodies.Count, 2 * _answers.Length)];
        }

        Span<ReadOnlyMemory<byte>> answers = _answers.AsSpan(0, _bodies.Count);
        answers.Clear();
        if (_bodies.Count > 0 && index > state.AppliedIndex)
        {
            state.Apply(index, stamp, _bodies, answers);
        }

        Volatile.Write(ref _lastStamp, stamp);
        Clock?.Applied(stamp);
        Volatile.Write(ref _appliedIndex, index);
        return answers;
    }
}
