using Quorumail.Cluster.Disk;
using Quorumail.Core.Cluster.State;

namespace Quorumail.Cluster.State;

/// <summary>The store's own file: replaced as a whole, so that after a crash the old or the new one is there.</summary>
internal sealed class StateFile(string path)
{
    /// <summary>
    /// What has been written goes to the disk every so many pieces of 1 MiB: the log's small syncs must not wait behind one of
    /// hundreds of MB.
    /// </summary>
    private const int PiecesPerSync = 4;

    /// <summary>Reads it; an empty store if there is none.</summary>
    /// <exception cref="InvalidDataException">Damaged, or of a format that this program does not read; the message says what to do.</exception>
    public async ValueTask<(SharedState State, long Index)> ReadAsync(StateLimits limits, CancellationToken token)
    {
        if (!File.Exists(path))
        {
            return (new SharedState(limits), 0);
        }

        FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
        await using (file)
        {
            try
            {
                return await StateFileFormat.ReadAsync(file, limits, token);
            }
            catch (InvalidDataException damage)
            {
                throw new InvalidDataException(
                    $"{path} can't be read: {damage.Message} This node's disk counts as wiped: empty its data directory, and it fetches everything from the others.",
                    damage);
            }
        }
    }

    /// <summary>Replaces it, durably.</summary>
    /// <exception cref="IOException">The disk reported an error: the old file may still be the durable one.</exception>
    public async Task ReplaceAsync(StateCut cut, CancellationToken token)
    {
        string temporary = path + ".new";
        FileStream file = new(temporary, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        await using (file)
        {
            int pieces = 0;
            await StateFileFormat.WriteAsync(cut, file, token, () =>
            {
                if (++pieces % PiecesPerSync == 0)
                {
                    Fsync.Data(file.SafeFileHandle);
                }
            });
            Fsync.File(file.SafeFileHandle);
        }

        File.Move(temporary, path, overwrite: true);
        Fsync.Directory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }
}
