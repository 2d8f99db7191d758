using System.Text.Json.Serialization;

namespace Quorumail.Server.Storage;

/// <summary>Says which disk a data directory is; the database holds the same id, so that parts of two disks are not mixed.</summary>
/// <param name="Format">Version of the layout.</param>
/// <param name="DiskId">Made once, when the directory was empty.</param>
/// <param name="Formed">The database exists: if it is missing, it was lost.</param>
internal sealed record DiskStamp(
    [property: JsonPropertyName("format")] int Format,
    [property: JsonPropertyName("disk_id")] string DiskId,
    [property: JsonPropertyName("formed")] bool Formed);
