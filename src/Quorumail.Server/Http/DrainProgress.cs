using Quorumail.Core.Queue;

namespace Quorumail.Server.Http;

/// <summary>What depends on a node that drains, or is to.</summary>
/// <param name="Node">Its name.</param>
/// <param name="IsDraining">Whether it drains.</param>
/// <param name="Leader">Who leads the cluster; null while nobody is known to.</param>
/// <param name="Sessions">SMTP sessions open there, of another node as its last heartbeat said; null if it is not there.</param>
/// <param name="Owned">Messages that it delivers.</param>
/// <param name="Disk">Messages on its disk.</param>
/// <param name="WantedCopies">Copies that messages should have on other disks.</param>
/// <param name="Stuck">Why no more copies can be made at present; null if they can.</param>
internal sealed record DrainProgress(
    string Node, bool IsDraining, string? Leader, long? Sessions, int Owned, DiskDependence Disk, int WantedCopies, string? Stuck)
{
    /// <summary>Whether it leads the cluster.</summary>
    public bool Leads => string.Equals(Leader, Node, StringComparison.Ordinal);

    /// <summary>Whether it drains and nothing depends on it.</summary>
    public bool IsDone => IsDraining && WaitsFor.Count == 0;

    /// <summary>What depends on it, in words.</summary>
    public IReadOnlyList<string> WaitsFor
    {
        get
        {
            List<string> waits = [];
            if (Leads)
            {
                waits.Add("it leads the cluster");
            }
            else if (Leader is null)
            {
                waits.Add("no other leader is known yet");
            }

            if (Sessions is > 0 and var sessions)
            {
                waits.Add(Count(sessions, "SMTP session is", "SMTP sessions are") + " open");
            }

            if (Owned > 0)
            {
                waits.Add(Count(Owned, "message is", "messages are") + " its to deliver");
            }

            if (Disk.TooFew > 0)
            {
                waits.Add(Count(Disk.TooFew, "message has", "messages have") + $" fewer than {WantedCopies} copies on other living nodes");
            }

            return waits;
        }
    }

    /// <summary>A number with its noun.</summary>
    internal static string Count(long number, string one, string many) => number == 1 ? $"1 {one}" : $"{number} {many}";
}
