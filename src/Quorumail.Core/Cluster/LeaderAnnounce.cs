using System.Buffers;

namespace Quorumail.Core.Cluster;

/// <summary>Frame type 5: a new leader says so (the guide's "Leader Announce").</summary>
/// <param name="LeaderId">Who.</param>
/// <param name="Term">The term that it leads.</param>
public sealed record LeaderAnnounce(string LeaderId, long Term)
{
    /// <summary>The message, or null if it isn't one.</summary>
    public static LeaderAnnounce? Read(ReadOnlySpan<byte> json) => JsonFields.Read<LeaderAnnounce>(json, ReadFields);

    /// <summary>The message as JSON.</summary>
    public void Write(IBufferWriter<byte> target) => JsonFields.Write(target, this, static (json, message) =>
    {
        json.WriteString("leader_id"u8, message.LeaderId);
        json.WriteNumber("term"u8, message.Term);
    });

    private static LeaderAnnounce? ReadFields(ref JsonFields fields)
    {
        var (leader, term) = ("", 0L);
        while (fields.Next())
        {
            if (fields.Is("leader_id"u8, 0))
            {
                leader = fields.Name();
            }
            else if (fields.Is("term"u8, 1))
            {
                term = fields.Count();
            }
            else
            {
                fields.Skip();
            }
        }

        return leader.Length > 0 && fields.Has(1) ? new LeaderAnnounce(leader, term) : null;
    }
}
