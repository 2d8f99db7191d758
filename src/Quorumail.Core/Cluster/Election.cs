using System.Buffers;

namespace Quorumail.Core.Cluster;

/// <summary>
/// Frame type 3: a candidate asks for a vote (the guide's "Election", with the term and what else a vote needs).
/// </summary>
/// <param name="CandidateId">Who asks.</param>
/// <param name="Term">The term that it stands for.</param>
/// <param name="Timestamp">Seconds since 1970: shown, never decided by.</param>
/// <param name="LastLogIndex">Index of the last entry of its log.</param>
/// <param name="LastLogTerm">Term of that entry.</param>
/// <param name="IsPreVote">Whether it only asks if it would get the vote; then no term changes.</param>
/// <param name="Incarnation">Which disk of the candidate asks.</param>
/// <param name="Request">Number that the <see cref="Vote"/> repeats.</param>
public sealed record Election(
    string CandidateId,
    long Term,
    long Timestamp,
    long LastLogIndex,
    long LastLogTerm,
    bool IsPreVote,
    int Incarnation,
    long Request)
{
    /// <summary>The message, or null if it isn't one.</summary>
    public static Election? Read(ReadOnlySpan<byte> json) => JsonFields.Read<Election>(json, ReadFields);

    /// <summary>The message as JSON.</summary>
    public void Write(IBufferWriter<byte> target) => JsonFields.Write(target, this, static (json, message) =>
    {
        json.WriteString("candidate_id"u8, message.CandidateId);
        json.WriteNumber("term"u8, message.Term);
        json.WriteNumber("timestamp"u8, message.Timestamp);
        json.WriteNumber("last_log_index"u8, message.LastLogIndex);
        json.WriteNumber("last_log_term"u8, message.LastLogTerm);
        json.WriteBoolean("pre_vote"u8, message.IsPreVote);
        json.WriteNumber("incarnation"u8, message.Incarnation);
        json.WriteNumber("request"u8, message.Request);
    });

    private static Election? ReadFields(ref JsonFields fields)
    {
        var (candidate, term, timestamp) = ("", 0L, 0L);
        var (lastIndex, lastTerm, isPreVote, incarnation, request) = (0L, 0L, false, 0, 0L);
        while (fields.Next())
        {
            if (fields.Is("candidate_id"u8, 0))
            {
                candidate = fields.Name();
            }
            else if (fields.Is("term"u8, 1))
            {
                term = fields.Count();
            }
            else if (fields.Is("timestamp"u8, 2))
            {
                timestamp = fields.Integer();
            }
            else if (fields.Is("last_log_index"u8, 3))
            {
                lastIndex = fields.Count();
            }
            else if (fields.Is("last_log_term"u8, 4))
            {
                lastTerm = fields.Count();
            }
            else if (fields.Is("pre_vote"u8, 5))
            {
                isPreVote = fields.Flag();
            }
            else if (fields.Is("incarnation"u8, 6))
            {
                incarnation = fields.SmallCount();
            }
            else if (fields.Is("request"u8, 7))
            {
                request = fields.Integer();
            }
            else
            {
                fields.Skip();
            }
        }

        return candidate.Length > 0 && fields.Has(1) && fields.Has(3) && fields.Has(4)
            ? new Election(candidate, term, timestamp, lastIndex, lastTerm, isPreVote, incarnation, request)
            : null;
    }
}
