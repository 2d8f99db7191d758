using System.Text.Json.Serialization;

namespace Quorumail.Server.Storage;

/// <summary>How a stamp is read and written: prepared by the compiler, for at a start reflection costs more than the reading.</summary>
[JsonSerializable(typeof(DiskStamp))]
internal sealed partial class DiskStampJson : JsonSerializerContext;
