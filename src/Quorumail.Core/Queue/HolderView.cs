namespace Quorumail.Core.Queue;

/// <summary>What a list of holders, which many messages share, is worth among the present members.</summary>
/// <param name="Up">The members that are up and have a copy that counts, each once.</param>
/// <param name="Copies">How many members have a copy that counts, up or not.</param>
/// <param name="IsTooFew">Whether there should be more, those on disks that are to be vacated not counted, and beside such a disk none that is down.</param>
internal readonly record struct HolderView(QueueNode[] Up, int Copies, bool IsTooFew)
{
    /// <summary>The node of this name among those that are up; -1 if it is not there.</summary>
    public int IndexOf(string name)
    {
        for (var i = 0; i < Up.Length; i++)
        {
            if (string.Equals(Up[i].Name, name, StringComparison.Ordinal))
            {
                return i;
            }
        }

        return -1;
    }
}
