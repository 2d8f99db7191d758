namespace Quorumail.Cluster.Raft;

/// <summary>Commands of another node that share an entry here; completes with the entry's place, or with index 0 if they did not get into one.</summary>
internal sealed class ForwardedCommands(ReadOnlyMemory<byte> commands, int count)
    : TaskCompletionSource<(long Index, long Term)>(TaskCreationOptions.RunContinuationsAsynchronously)
{
    /// <summary>The encoded commands; read until the task completes.</summary>
    public ReadOnlyMemory<byte> Commands => commands;

    /// <summary>How many.</summary>
    public int Count => count;
}
