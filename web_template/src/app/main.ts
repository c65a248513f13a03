import { models } from "../generated/models/index";

document.title = __APP_NAME__;
document.getElementById("app")?.append(models.map((model) => model.name).join(", "));
